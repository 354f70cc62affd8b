"""Backhaul as it is deployed: each role a process of its own, over a real RabbitMQ and PostgreSQL."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from backhaul.settings import Settings
from backhaul.wiring import apply_topology, upgrade_database
from tests.support.ports import free_port

_PREFIX = "BACKHAUL_"

START_SECONDS = 60
STOP_SECONDS = 15


class Role:
    """One process of the deployment."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str], log: Path, url: str = "") -> None:
        self.url = url
        self.name = log.stem
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "backhaul", *arguments], stdout=output, stderr=output, env=environment
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    async def says(self, words: str) -> None:
        """Return when its log holds these words."""
        async with asyncio.timeout(START_SECONDS):
            while words not in self.log:
                await asyncio.sleep(0.05)  # there is no event to await: a file only grows

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        self._process.kill()
        self._process.wait()

    def wait(self) -> int:
        """Its exit code, when it has ended by itself."""
        return self._process.wait(STOP_SECONDS)

    def freeze(self) -> None:
        """SIGSTOP: it is there, and does nothing, until `thaw`."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def terminate(self) -> int:
        """SIGTERM; its exit code."""
        self._process.terminate()
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()


class Deployment:
    """Starts roles, and kills whatever is left of them."""

    def __init__(self, amqp_url: str, database_url: str, **settings: str) -> None:
        self.amqp_url = amqp_url
        self._environment = {
            **os.environ,
            "BACKHAUL_AMQP_URL": amqp_url,
            "BACKHAUL_DATABASE_URL": database_url,
            "BACKHAUL_LOG_FORMAT": "console",
            "PYTHONPATH": os.pathsep.join(sys.path),
            **settings,
        }
        self._logs = tempfile.TemporaryDirectory()
        self._roles: list[Role] = []

    async def __aenter__(self) -> Self:
        """What `backhaul db upgrade` and `backhaul topology apply` do, without a process for each."""
        given = {
            name.removeprefix(_PREFIX).lower(): value
            for name, value in self._environment.items()
            if name.startswith(_PREFIX)
        }
        settings = Settings.model_validate(given)
        try:
            await asyncio.gather(
                asyncio.to_thread(upgrade_database, settings),
                asyncio.to_thread(apply_topology, settings),
            )
        except BaseException:
            self._logs.cleanup()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for role in self._roles:
            role.kill()  # a test that is about how roles leave asks them to
            print(f"--- log of {role.name}\n{role.log}")  # shown by pytest if the test fails
        self._logs.cleanup()

    async def gateway(self, **settings: str) -> Role:
        """A gateway that is ready."""
        port = free_port()
        role = self._start(["gateway"], {**settings, "BACKHAUL_PORT": str(port)}, f"http://127.0.0.1:{port}")
        await answers(f"{role.url}/readyz")
        return role

    async def at_work(self) -> Role:
        """A gateway that knows what can be submitted, beside a ledger and a worker."""
        self.ledger()
        self.worker()
        gateway = await self.gateway()
        await answers(f"{gateway.url}/v1/kinds", lambda body: body["data"])
        return gateway

    def ledger(self, **settings: str) -> Role:
        return self._start(["ledger"], settings)

    def notifier(self, **settings: str) -> Role:
        return self._start(["notifier"], settings)

    def worker(self, **settings: str) -> Role:
        """A worker with the probe service."""
        return self.worker_of("tests.acceptance.probe:service", **settings)

    def worker_of(self, target: str, *options: str, **settings: str) -> Role:
        """A worker with the service that `target` (`MODULE:SERVICE`) names."""
        return self._start(["worker", target, *options], settings)

    def _start(self, arguments: list[str], settings: Mapping[str, str] = {}, url: str = "") -> Role:
        log = Path(self._logs.name, f"{len(self._roles)}-{arguments[0]}.log")
        role = Role(arguments, {**self._environment, **settings}, log, url)
        self._roles.append(role)
        return role

    async def run(self, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        """A command that ends by itself."""
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "backhaul", *arguments],
            env={**self._environment, **settings},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


async def answers(url: str, wanted: Any = None, headers: Mapping[str, str] = {}) -> Any:
    """What `url` answers, once it answers 200 (and, if given, with a body that `wanted` accepts)."""
    async with asyncio.timeout(START_SECONDS), httpx.AsyncClient() as client:
        while True:
            with suppress(httpx.TransportError):
                response = await client.get(url, headers=dict(headers))
                if response.status_code == 200 and (wanted is None or wanted(response.json())):
                    return response.json()
            await asyncio.sleep(0.05)  # there is no event to await: the process is not up yet


async def submitted(gateway: Role, kind: str = "probe.echo", **input: Any) -> str:
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        response = await client.post("/v1/tasks", json={"kind": kind, "input": input or {"value": "x"}})
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


async def succeeded(gateway: Role, task_id: str) -> dict[str, Any]:
    task: dict[str, Any] = await answers(f"{gateway.url}/v1/tasks/{task_id}", lambda task: task["done"])
    assert task["status"] == "succeeded", task
    return task
