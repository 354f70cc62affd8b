"""The child processes of a worker: started on demand, kept, and gone before it is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from backhaul.worker.processes.process import Process, start_process
from backhaul.worker.timers import Timer, Timers

_IDLE = timedelta(minutes=5)
_LEAVE_SECONDS = 5.0


class Processes:
    """As many as there are attempts that need one at a time. Of those without work the one that worked last is taken
    first, so what is too much grows old: it is let go after five minutes, but for one that stays warm.

    `limit` bounds the payloads of an attempt, in bytes. Whoever opens this must `close` it.
    """

    def __init__(self, limit: int, timers: Timers) -> None:
        self.limit = limit
        self._timers = timers
        self._watchers: dict[Process, asyncio.Task[None]] = {}
        """Of all that are there."""
        self._busy: set[Process] = set()
        self._idle: dict[Process, Timer] = {}
        """The one that worked last is at the end."""
        self._calm = asyncio.Event()
        self._calm.set()

    @property
    def pids(self) -> list[int]:
        """Of all that are there."""
        return [process.pid for process in self._watchers]

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Process]:
        """A process for one attempt. One that is not done with it in the end is killed, and gone when this returns.

        Raises `OSError` if none can be started.
        """
        process = self._taken() or await self._started()
        self._busy.add(process)
        self._calm.clear()
        try:
            yield process
        finally:
            await self._back(process)

    async def calm(self) -> None:
        """Return when none is at work."""
        await self._calm.wait()

    async def close(self) -> None:
        """Let all of them go, and kill what is still there after five seconds: none is left when this returns."""
        for process in list(self._idle):
            self._let_go(process)
        if watchers := list(self._watchers.values()):
            try:
                await asyncio.wait(watchers, timeout=_LEAVE_SECONDS)
            finally:
                for process in self._watchers:
                    process.kill()
            await asyncio.wait(watchers)

    def _taken(self) -> Process | None:
        while self._idle:
            process, timer = self._idle.popitem()
            self._timers.cancel(timer)
            if process.alive:
                return process
        return None

    async def _started(self) -> Process:
        process = await start_process(self.limit)
        self._watchers[process] = asyncio.create_task(self._watch(process))
        return process

    async def _watch(self, process: Process) -> None:
        try:
            await process.live()
        finally:
            del self._watchers[process]
            if (timer := self._idle.pop(process, None)) is not None:
                self._timers.cancel(timer)

    async def _back(self, process: Process) -> None:
        """Keep it for the next attempt, or see to its end."""
        try:
            if process.at_work:
                process.kill()
                await process.ended
            elif process.alive:
                self._idle[process] = self._timers.after(_IDLE, lambda: self._grown_old(process))
        finally:
            self._busy.discard(process)
            if not self._busy:
                self._calm.set()

    def _grown_old(self, process: Process) -> None:
        if len(self._idle) > 1:
            self._let_go(process)

    def _let_go(self, process: Process) -> None:
        """It closes its resources and ends."""
        self._timers.cancel(self._idle.pop(process))
        process.say({"do": "leave"})
