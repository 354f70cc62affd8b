"""One process of the deployment, kept alive as a supervisor would, behind links of its own."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

import httpx
from yarl import URL

from tests.faults import kinds
from tests.faults.plan import BROKER, CLIENTS, DATABASE
from tests.support.ports import LOOPBACK, free_port
from tests.support.proxy import Proxy
from tests.support.sandbox import Sandbox

_READY_TIMEOUT = timedelta(seconds=120)
"""The servers that it needs may be down for a part of that."""
_LOOK = timedelta(milliseconds=100)
_RESTART_PAUSE = timedelta(seconds=1)
_DRAIN_TIMEOUT = timedelta(seconds=20)
_HEARS_TIMEOUT = timedelta(seconds=60)
"""The broker, by which a worker hears that it is to leave, may be out of reach for a part of that."""
_AT_WORK = re.compile(r"worker (wrk_\w+) takes tasks of (\w+)\.")
_URLS = {"BACKHAUL_AMQP_URL": BROKER, "BACKHAUL_DATABASE_URL": DATABASE}
_SETTINGS = {link: setting for setting, link in _URLS.items()}


class Process:
    """One process of the deployment under one name, over all its lives. Each life has a number and a log of its own."""

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str], sandbox: Sandbox) -> None:
        self.name = name
        self.links: dict[str, Proxy] = {}
        self.busy = asyncio.Lock()
        """Held by whoever harms it."""
        self.life = 0
        self.unasked: list[int] = []
        """The exit codes with which it ended by itself."""
        self._arguments = arguments
        self._environment = environment
        self._sandbox = sandbox
        self._process: subprocess.Popen[str] | None = None
        self._groups: list[int] = []
        """The process groups of all its lives."""
        self._down = False
        self._change = asyncio.Event()
        self._port = free_port()

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return f"http://{LOOPBACK}:{self.links[CLIENTS].port}"

    async def open(self, servers: Mapping[str, URL]) -> None:
        """Make its links, which it keeps over all its lives: to the servers, and to the clients."""
        ends = {name: (url.host or LOOPBACK, url.port or 0) for name, url in servers.items()}
        for name, end in {**ends, CLIENTS: (LOOPBACK, self._port)}.items():
            self.links[name] = Proxy(*end)
            await self.links[name].open()

    async def keep(self, ended: Callable[[subprocess.Popen[str]], Awaitable[int]]) -> None:
        """Start it, and start it anew whenever it has ended, until cancelled."""
        while True:
            process = self._process = self._start()
            code = await ended(process)
            self._sandbox.stop(process)  # it has ended: only its traces are removed
            self._process = None
            self._change.set()
            if self._down:
                await self._until(lambda: not self._down)
            else:
                self.unasked.append(code)
                await asyncio.sleep(_RESTART_PAUSE.total_seconds())

    async def down(self, sign: signal.Signals) -> bool:
        """End it, and keep it down. Whether it ended in time by itself."""
        self._down = True
        if self._process is None:
            return True
        self._process.send_signal(sign)
        return await self._gone(_DRAIN_TIMEOUT)

    async def leave(self, ask: Callable[[str], Awaitable[bool]]) -> list[str]:
        """Have its workers asked to leave, and keep it down when it has ended. Which of them have left so."""
        self._down = True
        asked = [worker for worker in self.workers_now() if self._process is not None and await ask(worker)]
        left = bool(asked) and await self._gone(_HEARS_TIMEOUT)
        return asked if left else []

    async def _gone(self, patience: timedelta) -> bool:
        """Wait until it has ended; whether it did so in time, and by itself."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience.total_seconds()):
                await self._until(lambda: self._process is None)
            return True
        if self._process is not None:
            self._process.kill()
        await self._until(lambda: self._process is None)
        return False

    def up(self) -> None:
        """Let it be started again."""
        self._down = False
        self._change.set()

    def stand_still(self) -> None:
        """It stays where it is, with all its children: SIGSTOP."""
        if self._process is not None:
            self._sandbox.freeze(self._process)

    def go_on(self) -> None:
        if self._process is not None:
            self._sandbox.thaw(self._process)

    async def ready(self) -> bool:
        """Wait until it says that it is at work; False if that takes too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_READY_TIMEOUT.total_seconds()), httpx.AsyncClient(timeout=2) as client:
                while not await _answers(client, f"http://{LOOPBACK}:{self._port}/readyz"):
                    await asyncio.sleep(_LOOK.total_seconds())  # there is no event to await: it is another process
                return True
        return False

    def workers(self) -> dict[str, str]:
        """The worker ids of all its lives, by the names that handlers use: `worker-2.1/heavy`."""
        found = {}
        for life in range(1, self.life + 1):
            for worker_id, service in _AT_WORK.findall(self.log(life)):
                found[f"{self.name}.{life}/{service}"] = worker_id
        return found

    def workers_now(self) -> list[str]:
        """The worker ids of its present life."""
        return [worker_id for worker_id, _ in _AT_WORK.findall(self.log(self.life))]

    def orphans(self) -> list[int]:
        """Lives whose children have outlived them."""
        alive = self.life if self._process is not None else None
        lives = enumerate(self._groups, start=1)
        return [life for life, group in lives if life != alive and _exists(group)]

    def log(self, life: int) -> str:
        path = self._sandbox.folder / f"{self.name}.{life}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _start(self) -> subprocess.Popen[str]:
        self.life += 1
        name = f"{self.name}.{self.life}"
        environment = {
            **self._environment,
            **{setting: str(self._through(link)) for setting, link in _URLS.items() if link in self.links},
            "BACKHAUL_PORT": str(self._port),
            kinds.PROCESS: name,
            kinds.DIARY: str(self._sandbox.folder / f"{name}.diary"),
        }
        command = [sys.executable, "-m", "tests.faults.cli", *self._arguments]
        process = self._sandbox.spawn(command, env=environment, log=f"{name}.log")
        self._groups.append(process.pid)
        return process

    def _through(self, link: str) -> URL:
        return URL(self._environment[_SETTINGS[link]]).with_host(LOOPBACK).with_port(self.links[link].port)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._change.clear()
            await self._change.wait()


def _exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    with suppress(httpx.TransportError):
        return (await client.get(url)).status_code == 200
    return False
