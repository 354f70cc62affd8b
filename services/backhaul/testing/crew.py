"""The workers of a harness, each in a task of its own, so that one can be killed."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from backhaul.core.errors import ConfigurationError
from backhaul.wiring.beside import beside
from backhaul.wiring.platform import Platform, build_workers
from backhaul.worker import Service, Worker


class Crew:
    """A worker for each service of a platform that runs."""

    def __init__(self, platform: Platform, services: Iterable[Service]) -> None:
        self._platform = platform
        self._services = {service.name: service for service in services}
        self._workers: dict[str, Worker] = {}
        self._runs: dict[str, asyncio.Task[None]] = {}
        self._stop = asyncio.Event()
        self._faults: list[ConfigurationError] = []

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """All of them have announced their kinds inside of the block; on leaving it they drain."""
        async with beside(self._run(), end=self._stop.set):
            for name in self._services:
                await self._hire(name)
            yield

    async def replace(self, name: str) -> None:
        """End a worker in the middle of whatever it does, and have another one in its place."""
        if name not in self._services:
            raise ConfigurationError(f"there is no service {name!r} here: name one of {', '.join(self._services)}")
        run = self._runs.pop(name)
        run.cancel()
        await asyncio.wait((run,))
        self._platform.workers.remove(self._workers.pop(name))
        await self._hire(name)

    async def _hire(self, name: str) -> None:
        platform = self._platform
        [worker] = build_workers(
            [self._services[name]],
            platform.broker,
            settings=platform.settings,
            clock=platform.clock,
            tracer=platform.tracer,
        )
        self._workers[name] = worker
        self._runs[name] = asyncio.create_task(self._work(worker))
        await worker.announced.wait()
        platform.workers.append(worker)  # to be seen there; those that it has at its start, it runs itself

    async def _run(self) -> None:
        await self._stop.wait()
        if self._runs:
            await asyncio.wait(self._runs.values())
        if self._faults:
            raise self._faults[0]

    async def _work(self, worker: Worker) -> None:
        try:
            await worker.run(stop=self._stop)
        except ConfigurationError as fault:
            self._faults.append(fault)
            self._stop.set()
