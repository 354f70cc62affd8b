"""Servers in containers: for machines with a Docker engine and no servers installed, and for other versions of them.

They do all that private servers do: they start, stop, crash and freeze at our word, at a port that stays the same.
"""

import asyncio
import os
import secrets
import signal
from datetime import timedelta

import docker
from docker.errors import DockerException

from tests.support.boxes import Box, ContainerNetwork
from tests.support.erlang import ErlangConsole
from tests.support.ports import LOOPBACK, await_true, free_port, speaks_amqp
from tests.support.postgresql import PrivatePostgreSQL
from tests.support.private import PrivateServer
from tests.support.rabbitmq import USER, PrivateRabbitMQ, erlang_arguments
from tests.support.sandbox import Sandbox

CONTAINERS = "BACKHAUL_TEST_CONTAINERS"
RABBITMQ_IMAGE = "rabbitmq:4-management"
POSTGRESQL_IMAGE = "postgres:17"

_START_TIMEOUT = timedelta(seconds=120)


def containers_are_wanted() -> bool:
    """Whether servers in containers are to be used where others are installed."""
    return os.environ.get(CONTAINERS) == "1"


def docker_answers() -> bool:
    """Whether a Docker engine runs here."""
    try:
        client = docker.from_env(timeout=5)
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except (DockerException, OSError):
        return False
    finally:
        client.close()


class _InContainer(PrivateServer):
    """A private server whose processes are those of a container."""

    _box: Box

    def start(self) -> None:
        if self._box.running:
            return
        self._box.start()
        try:
            await_true(self._ready, _START_TIMEOUT, self._complaint)
        except BaseException:
            self.close()
            raise

    def stop(self) -> None:
        if self._box.running:
            self._box.stop()

    def kill(self) -> None:
        if self._box.running:
            self._box.kill()

    def freeze(self) -> None:
        self._box.pause()

    def thaw(self) -> None:
        self._box.unpause()

    def close(self) -> None:
        self._box.close()
        self._sandbox.close()

    @property
    def pid(self) -> int | None:
        return self._box.pid if self._box.running else None

    def _ready(self) -> bool:
        if self._box.has_ended:
            raise RuntimeError(self._complaint())
        return self._serves(self._box.pid)

    def _complaint(self) -> str:
        return f"{self.name} did not start in its container: {self._box.tail()}"


class ContainerRabbitMQ(_InContainer, PrivateRabbitMQ):
    """RabbitMQ in a container; those in one `network` can become a cluster."""

    def __init__(
        self, *, acknowledgement_timeout: timedelta | None = None, network: ContainerNetwork | None = None
    ) -> None:
        self._sandbox = Sandbox("rabbitmq")
        self._password = network.password if network else secrets.token_hex(8)
        self._cookie = network.cookie if network else secrets.token_hex(16)
        self._port, self._management_port = free_port(), free_port()
        self._console: ErlangConsole | None = None
        host = f"rabbitmq-{secrets.token_hex(4)}"
        self._node = f"rabbit@{host}"
        arguments = f"-setcookie {self._cookie} {erlang_arguments(acknowledgement_timeout)}"
        self._box = Box(
            self._sandbox,
            RABBITMQ_IMAGE,
            {5672: self._port, 15672: self._management_port},
            {
                "RABBITMQ_DEFAULT_USER": USER,
                "RABBITMQ_DEFAULT_PASS": self._password,
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": arguments,
            },
            network=network.network if network else None,
            hostname=host,
        )

    def start(self) -> None:
        if not self._box.running and self._console is not None:
            self._console.close()  # it lived in the container, and has ended with it
            self._console = None
        super().start()

    async def join(self, peer: PrivateRabbitMQ) -> None:
        for command in (("stop_app",), ("join_cluster", peer._node), ("start_app",)):
            await asyncio.to_thread(self._box.run, "rabbitmqctl", "--erlang-cookie", self._cookie, *command)

    def _serves(self, pid: int) -> bool:
        return speaks_amqp(self._port) and self._evaluate("rabbit:is_running()") == "true"

    def _evaluate(self, expressions: str) -> str:
        if self._console is None:
            inside = ("docker", "exec", "--interactive", "--user", "rabbitmq", self._box.id)
            self._console = ErlangConsole(self._sandbox, self._node, env=os.environ, inside=inside, cookie=self._cookie)
        return super()._evaluate(expressions)


class ContainerPostgreSQL(_InContainer, PrivatePostgreSQL):
    """PostgreSQL in a container."""

    def __init__(self, *, fsync: bool = True) -> None:
        self._sandbox = Sandbox("postgresql")
        self._password, self._port = secrets.token_hex(8), free_port()
        settings = self._options(fsync=fsync)
        environment = {"POSTGRES_USER": "backhaul", "POSTGRES_PASSWORD": self._password, "POSTGRES_DB": "postgres"}
        command = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._box = Box(self._sandbox, POSTGRESQL_IMAGE, {5432: self._port}, environment, command=command)

    @property
    def version(self) -> str:
        return self._box.run("postgres", "--version").split()[2]

    def crash(self) -> None:
        if self._box.running:
            self._box.kill(signal.SIGQUIT)

    def _kept(self, name: str) -> str:
        return f"/tmp/{name}.dump"

    def _run(self, program: str, *arguments: str) -> None:
        inside = [argument.replace(f":{self._port}/", ":5432/") for argument in arguments]
        if not self._box.succeeds(program, *inside):
            raise RuntimeError(f"{program} failed in the container of {self.name}")

    def _serves(self, pid: int) -> bool:
        """Over TCP, which is served only when the database has been made."""
        return self._box.succeeds("pg_isready", "--quiet", "--host", LOOPBACK)
