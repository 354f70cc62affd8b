"""A RabbitMQ node of our own, from the installed program: own name, ports, cookie, folder and epmd."""

import asyncio
import json
import re
import secrets
import shutil
import subprocess
from base64 import b64encode
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from tests.support.certificates import Certificates
from tests.support.erlang import ErlangConsole
from tests.support.ports import LOOPBACK, await_true, free_port, listens, speaks_amqp
from tests.support.private import START_TIMEOUT, PrivateServer
from tests.support.sandbox import Sandbox

# Debian's program on the PATH only works as root and becomes the user rabbitmq: the real one stands here.
_DEBIAN = Path("/usr/lib/rabbitmq/bin")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/homebrew/bin:/opt/homebrew/sbin"
USER = "backhaul"
_MILLISECOND = timedelta(milliseconds=1)
_MEMORY = "{resource_limit, memory, node()}"
_ALARMS_ARE_SET = "rabbit_alarm:get_alarms()"  # setting one only sends a message; asking waits behind it


class QueueDepth(NamedTuple):
    """What one queue holds."""

    ready: int
    unacknowledged: int


def installed_rabbitmq() -> Path | None:
    """The server's start script on this machine, or None."""
    found = shutil.which("rabbitmq-server", path=f"{_DEBIAN}:{_PATH}")
    return Path(found) if found and shutil.which("erl", path=_PATH) else None


def erlang_arguments(acknowledgement_timeout: timedelta | None) -> str:
    """How tests want a node: counting often, and strict with those who keep deliveries for longer than this."""
    strictness = (
        f" -rabbit channel_tick_interval 500 -rabbit consumer_timeout {acknowledgement_timeout // _MILLISECOND}"
        if acknowledgement_timeout is not None
        else ""
    )
    return f"-rabbit quorum_tick_interval 500{strictness}"


class PrivateRabbitMQ(PrivateServer):
    """A RabbitMQ node; `program` is its start script, else the installed one.

    `acknowledgement_timeout`: how long a delivery may stay unacknowledged before its channel is closed (None: 30
    minutes, as ever). It is looked at once in half a second then, and not once in a minute. `management`: with the
    plugin for its HTTP API. `tls`: it serves TLS too, with these certificates. `peer`: another
    one, whose cluster it can `join`.
    """

    name = "RabbitMQ"
    logs = ("start.log", "rabbitmq.log")

    def __init__(
        self,
        program: Path | None = None,
        *,
        acknowledgement_timeout: timedelta | None = None,
        management: bool = False,
        tls: Certificates | None = None,
        peer: "PrivateRabbitMQ | None" = None,
    ) -> None:
        script = program or installed_rabbitmq()
        if script is None:
            raise RuntimeError("RabbitMQ is not installed here: install the package rabbitmq-server")
        super().__init__(Sandbox("rabbitmq"))
        self._script = script
        self._arguments = f"-kernel inet_dist_use_interface {{127,0,0,1}} {erlang_arguments(acknowledgement_timeout)}"
        self._password: str = peer._password if peer else secrets.token_hex(8)
        self._cookie: str = peer._cookie if peer else secrets.token_hex(16)
        self._port = free_port()
        self._epmd_port: int = peer._epmd_port if peer else free_port()
        self._management_port = free_port() if management else None
        self._tls, self._tls_port = tls, free_port() if tls is not None else None
        self._node = f"backhaul-{secrets.token_hex(4)}@localhost"
        self._env = self._environment()
        self._console: ErlangConsole | None = None

    @property
    def url(self) -> str:
        """The URL of the default vhost."""
        return self._url_of("%2F")

    @property
    def management_url(self) -> str:
        """The URL of the management API, if there is to be one."""
        return f"http://{USER}:{self._password}@{LOOPBACK}:{self._management_port}"

    @property
    def tls_url(self) -> str:
        """The URL of the default vhost over TLS, if there are certificates; of whom nobody has heard by it."""
        return self.url.replace("amqp:", "amqps:").replace(f":{self._port}/", f":{self._tls_port}/")

    async def import_definitions(self, content: str) -> None:
        """What `rabbitmqctl import_definitions` does. Users among them get the password of our own."""
        encoded = b64encode(content.encode()).decode()
        await self.evaluate(f'ok = rabbit_definitions:import_raw(base64:decode("{encoded}"))')
        for user in json.loads(content).get("users", ()):
            given = f'<<"{user["name"]}">>, <<"{self._password}">>, <<"tests">>'
            await self.evaluate(f"rabbit_auth_backend_internal:change_password({given})")

    def url_as(self, name: str, url: str | None = None) -> str:
        """The `url` (None: of the default vhost) of another of our users."""
        return (url or self.url).replace(f"//{USER}:", f"//{name}:")

    async def create_vhost(self) -> str:
        """The URL of a new, empty vhost."""
        vhost = f"test-{secrets.token_hex(6)}"
        await self.evaluate(
            f'rabbit_vhost:add(<<"{vhost}">>, <<"tests">>), rabbit_auth_backend_internal:set_permissions('
            f'<<"{USER}">>, <<"{vhost}">>, <<".*">>, <<".*">>, <<".*">>, <<"tests">>)'
        )
        return self._url_of(vhost)

    async def drop_vhost(self, url: str) -> None:
        """Remove a vhost with all it holds; connections to it are closed."""
        await self.evaluate(f'rabbit_vhost:delete(<<"{_vhost(url)}">>, <<"tests">>)')

    def renew(self) -> None:
        """It runs, is well, and holds nothing, as when it was new, whatever was done to it."""
        self.thaw()
        self.start()
        self._evaluate(
            f"rabbit_alarm:clear_alarm({_MEMORY}), {_ALARMS_ARE_SET}, "
            '[rabbit_vhost:delete(V, <<"tests">>) || V <- rabbit_vhost:list_names()], '
            'ok = rabbit_vhost:add(<<"/">>, <<"tests">>), '
            f'rabbit_auth_backend_internal:set_permissions(<<"{USER}">>, <<"/">>, <<".*">>, <<".*">>, <<".*">>, '
            '<<"tests">>), [rabbit_auth_backend_internal:delete_user(U, <<"tests">>) || '
            f'[{{user, U}} | _] <- rabbit_auth_backend_internal:list_users(), U =/= <<"{USER}">>]'
        )

    async def create_user(self, name: str, *, configure: str, write: str, read: str, url: str | None = None) -> str:
        """The URL of a user, new or known, who may do what these patterns say in the vhost of `url` (None: "/")."""
        vhost = _vhost(url or self.url)
        patterns = ", ".join(f"<<{json.dumps(pattern)}>>" for pattern in (configure, write, read))
        await self.evaluate(
            f'_ = (catch rabbit_auth_backend_internal:add_user(<<"{name}">>, <<"{self._password}">>, <<"tests">>)), '
            f'rabbit_auth_backend_internal:set_permissions(<<"{name}">>, <<"{vhost}">>, {patterns}, <<"tests">>)'
        )
        return self.url_as(name, url)

    async def queues(self, url: str) -> dict[str, QueueDepth]:
        """Every queue of a vhost. Counts of quorum queues may be half a second old."""
        listed = await self.evaluate(
            "[{element(4, N), R, U} || [{name, N}, {messages_ready, R}, {messages_unacknowledged, U}] <- "
            f'rabbit_amqqueue:info_all(<<"{_vhost(url)}">>, [name, messages_ready, messages_unacknowledged])]'
        )
        found = re.findall(r'<<"([^"]*)">>,(\d+),(\d+)', listed)
        return {name: QueueDepth(int(ready), int(unacknowledged)) for name, ready, unacknowledged in found}

    async def delete_queue(self, url: str, queue: str) -> None:
        """Delete a queue of a vhost with all it holds, under whoever hears it."""
        name = f'rabbit_misc:r(<<"{_vhost(url)}">>, queue, <<"{queue}">>)'
        await self.evaluate(
            f'{{ok, Q}} = rabbit_amqqueue:lookup({name}), rabbit_amqqueue:delete(Q, false, false, <<"test">>)'
        )

    async def join(self, peer: "PrivateRabbitMQ") -> None:
        """Become a node of the cluster of `peer`, and forget what was here. Both run."""
        await self.evaluate(f"rabbit:stop(), ok = rabbit_mnesia:join_cluster('{peer._node}', disc), rabbit:start()")

    async def leads(self, url: str) -> int:
        """Of how many queues of a vhost this node holds the leader."""
        listed = await self.evaluate(
            f'length([x || Q <- rabbit_amqqueue:list(<<"{_vhost(url)}">>), P <- [amqqueue:get_pid(Q)], '
            "is_tuple(P) andalso element(2, P) =:= node() orelse is_pid(P) andalso node(P) =:= node()])"
        )
        return int(listed)

    async def settle(self) -> None:
        """Write down at once what the node would write within three minutes.

        RabbitMQ 3.10 notes new quorum queues in a table that it saves lazily: killed before, it has the queue
        after its restart, but without messages and deaf to new ones.
        """
        await self.evaluate("[ok = dets:sync(Table) || Table <- dets:all()]")

    async def drop_connections(self) -> None:
        """Close every client's connection from the broker's side."""
        await self.evaluate(
            '[rabbit_networking:close_connection(P, <<"test">>) || P <- rabbit_networking:connections()]'
        )

    async def raise_memory_alarm(self) -> None:
        """Block publishers, as a broker short of memory does, until `clear_memory_alarm`."""
        await self.evaluate(f"rabbit_alarm:set_alarm({{{_MEMORY}, []}}), {_ALARMS_ARE_SET}")

    async def clear_memory_alarm(self) -> None:
        """Let publishers go on."""
        await self.evaluate(f"rabbit_alarm:clear_alarm({_MEMORY}), {_ALARMS_ARE_SET}")

    async def evaluate(self, expressions: str) -> str:
        """The value of Erlang expressions on the node, as Erlang prints it; see `ErlangConsole`."""
        return await asyncio.to_thread(self._evaluate, expressions)

    def _evaluate(self, expressions: str) -> str:
        if self._console is None:
            raise RuntimeError("RabbitMQ was never started: call start() first")
        return self._console.evaluate(expressions)

    def _spawn(self) -> subprocess.Popen[str]:
        if self._console is None:
            self._console = self._prepare()
        # With input allowed the script becomes the node instead of waiting for it, so signals reach the node.
        env = self._env | {"RABBITMQ_ALLOW_INPUT": "1"}
        return self._sandbox.spawn([str(self._script), "-noinput"], env=env, log="start.log")

    def _serves(self, pid: int) -> bool:
        # A node opens its port a moment before it counts itself as running.
        return speaks_amqp(self._port) and self._evaluate("rabbit:is_running()") == "true"

    def _prepare(self) -> ErlangConsole:
        self._write_configuration()
        epmd = shutil.which("epmd", path=_PATH) or "epmd"
        self._sandbox.spawn([epmd], env=self._env, log="epmd.log")
        await_true(lambda: listens(self._epmd_port), START_TIMEOUT, lambda: "Erlang's epmd did not start")
        return ErlangConsole(self._sandbox, self._node, env=self._env)

    def _write_configuration(self) -> None:
        folder = self._sandbox.folder
        (folder / "home").mkdir()
        self._sandbox.write("home/.erlang.cookie", self._cookie, mode=0o400)
        managed = self._management_port is not None
        self._sandbox.write("enabled_plugins", f"[{'rabbitmq_management' if managed else ''}].\n")
        self._sandbox.write(
            "rabbitmq.conf",
            f"listeners.tcp.1 = {LOOPBACK}:{self._port}\n"
            f"default_user = {USER}\n"
            f"default_pass = {self._password}\n"
            f"log.file = {folder / 'rabbitmq.log'}\n"
            "disk_free_limit.absolute = 50MB\n"
            + (f"management.tcp.ip = {LOOPBACK}\nmanagement.tcp.port = {self._management_port}\n" if managed else "")
            + self._encrypted(),
        )

    def _encrypted(self) -> str:
        """The lines of the configuration that TLS takes, after its files have been written."""
        if self._tls is None:
            return ""
        files = {
            "cacertfile": self._sandbox.write("ca.pem", self._tls.authority),
            "certfile": self._sandbox.write("server.pem", self._tls.certificate),
            "keyfile": self._sandbox.write("server.key", self._tls.key),
        }
        lines = [f"ssl_options.{name} = {path}" for name, path in files.items()]
        return "\n".join([f"listeners.ssl.1 = {LOOPBACK}:{self._tls_port}", *lines, ""])

    def _environment(self) -> dict[str, str]:
        folder = self._sandbox.folder
        return {
            "HOME": str(folder / "home"),
            "PATH": _PATH,
            "LANG": "C.UTF-8",
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": self._arguments,
        }

    def _url_of(self, vhost: str) -> str:
        return f"amqp://{USER}:{self._password}@{LOOPBACK}:{self._port}/{vhost}"


def _vhost(url: str) -> str:
    name = url.rsplit("/", 1)[-1]
    return "/" if name == "%2F" else name
