"""Servers in containers, for machines with a Docker engine and no servers installed."""

import secrets
from datetime import timedelta

import docker
import httpx
from docker.errors import DockerException
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer

from tests.support.deadlines import ANSWER_TIMEOUT
from tests.support.missing import ServerMissingError
from tests.support.ports import await_true, speaks_amqp

RABBITMQ_IMAGE = "rabbitmq:4-management"
POSTGRESQL_IMAGE = "postgres:17"

_START_TIMEOUT = timedelta(seconds=120)
_AMQP_PORT, _MANAGEMENT_PORT = 5672, 15672


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


class ContainerRabbitMQ:
    """RabbitMQ in a container; vhosts are made over its management API."""

    def __init__(self) -> None:
        self._password = secrets.token_hex(8)
        self._container = DockerContainer(RABBITMQ_IMAGE).with_exposed_ports(_AMQP_PORT, _MANAGEMENT_PORT)
        self._container.with_envs(RABBITMQ_DEFAULT_USER="backhaul", RABBITMQ_DEFAULT_PASS=self._password)
        _start(self._container, RABBITMQ_IMAGE)
        self._host = self._container.get_container_host_ip()
        self._port = self._container.get_exposed_port(_AMQP_PORT)
        self._api = f"http://{self._host}:{self._container.get_exposed_port(_MANAGEMENT_PORT)}/api"
        try:
            await_true(self._serves, _START_TIMEOUT, self._complaint)
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """The URL of the default vhost."""
        return self._url_of("%2F")

    async def create_vhost(self) -> str:
        """The URL of a new, empty vhost; who creates one over the API may use it."""
        vhost = f"test-{secrets.token_hex(6)}"
        async with self._client() as client:
            (await client.put(f"{self._api}/vhosts/{vhost}")).raise_for_status()
        return self._url_of(vhost)

    async def drop_vhost(self, url: str) -> None:
        """Remove a vhost with all it holds."""
        async with self._client() as client:
            (await client.delete(f"{self._api}/vhosts/{url.rsplit('/', 1)[-1]}")).raise_for_status()

    def close(self) -> None:
        """Remove the container."""
        self._container.stop()

    def _url_of(self, vhost: str) -> str:
        return f"amqp://backhaul:{self._password}@{self._host}:{self._port}/{vhost}"

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            auth=("backhaul", self._password), timeout=ANSWER_TIMEOUT.total_seconds(), trust_env=False
        )

    def _serves(self) -> bool:
        try:
            answer = httpx.get(f"{self._api}/overview", auth=("backhaul", self._password), trust_env=False)
        except httpx.TransportError:
            return False
        return answer.is_success and speaks_amqp(self._port, self._host)

    def _complaint(self) -> str:
        return f"RabbitMQ did not start in its container: {self._container.get_logs()!r}"


class ContainerPostgreSQL:
    """PostgreSQL in a container."""

    def __init__(self, *, fsync: bool = True) -> None:
        self._container = PostgresContainer(
            POSTGRESQL_IMAGE,
            username="backhaul",
            password=secrets.token_hex(8),
            dbname="postgres",
            driver=None,
        )
        safety = "on" if fsync else "off"
        self._container.with_command(f"-c max_connections=300 -c fsync={safety} -c synchronous_commit={safety}")
        _start(self._container, POSTGRESQL_IMAGE)

    @property
    def url(self) -> str:
        """The URL of a database to create others from."""
        return str(self._container.get_connection_url())

    def close(self) -> None:
        """Remove the container."""
        self._container.stop()


def _start(container: DockerContainer, image: str) -> None:
    try:
        container.start()
    except DockerException as fault:
        container.stop()
        raise ServerMissingError(f"no server from Docker: {image} did not start: {fault}") from fault
