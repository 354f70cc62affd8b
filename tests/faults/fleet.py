"""The processes of the deployment."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from yarl import URL

from tests.faults.plan import BROKER, DATABASE
from tests.faults.process import Process
from tests.support.sandbox import Sandbox

ROLES: Mapping[str, Sequence[str]] = {
    "gateway-1": ["gateway"],
    "gateway-2": ["gateway"],
    "ledger-1": ["ledger"],
    "ledger-2": ["ledger"],
    "worker-1": ["worker", "tests.faults.kinds:quick"],
    "worker-2": ["worker", "tests.faults.kinds:quick", "tests.faults.kinds:heavy"],
    "worker-3": ["worker", "tests.faults.kinds:heavy"],
    "worker-4": ["worker", "tests.faults.kinds:heavy"],
    "notifier-1": ["notifier"],
    "notifier-2": ["notifier"],
}
_SERVERS = {"worker": (BROKER,), "notifier": (DATABASE,)}
"""To what a role has links, where it is not both."""


class Fleet:
    """All processes. Their logs and diaries are in `folder`, which is gone when the block ends."""

    def __init__(self, amqp_url: str, database_url: str, settings: Mapping[str, str]) -> None:
        self._sandbox = Sandbox("chaos")
        self._threads = ThreadPoolExecutor(max_workers=len(ROLES), thread_name_prefix="fleet")
        self._urls = {BROKER: URL(amqp_url), DATABASE: URL(database_url)}
        self._environment = {
            **os.environ,
            "BACKHAUL_AMQP_URL": amqp_url,
            "BACKHAUL_DATABASE_URL": database_url,
            "PYTHONPATH": os.pathsep.join(sys.path),
            **settings,
        }
        self.processes = {
            name: Process(name, arguments, self._environment, self._sandbox) for name, arguments in ROLES.items()
        }

    @property
    def folder(self) -> Path:
        return self._sandbox.folder

    @property
    def gateways(self) -> list[Process]:
        return [process for name, process in self.processes.items() if name.startswith("gateway")]

    def workers(self) -> dict[str, str]:
        """The worker ids of all lives of all processes, by the names that handlers use."""
        return {name: each for process in self.processes.values() for name, each in process.workers().items()}

    async def prepare(self) -> None:
        """Tables and topology, as before a first start; and the links."""
        for command in (["db", "upgrade"], ["topology", "apply"]):
            argv = [sys.executable, "-m", "backhaul", *command]
            await asyncio.to_thread(self._sandbox.run, argv, env=self._environment)
        for name, process in self.processes.items():
            servers = _SERVERS.get(name.partition("-")[0], (BROKER, DATABASE))
            await process.open({server: self._urls[server] for server in servers})

    async def run(self) -> None:
        """Keep all processes, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for process in self.processes.values():
                group.create_task(process.keep(self._ended))

    async def close(self) -> None:
        """End what is left, with its folder."""
        await asyncio.to_thread(self._sandbox.close)
        self._threads.shutdown(wait=False)
        for process in self.processes.values():
            for link in process.links.values():
                link.release()
                await link.close()

    async def _ended(self, process: subprocess.Popen[str]) -> int:
        return await asyncio.get_running_loop().run_in_executor(self._threads, process.wait)
