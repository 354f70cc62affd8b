"""A worker at work, with a scripted ledger, over the in-process broker and a clock that stands still."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from backhaul.broker.memory import MemoryBroker
from backhaul.worker import Service, Worker
from tests.unit.worker.held_clock import HeldClock
from tests.unit.worker.scripted_ledger import PATIENCE, ScriptedLedger

HEARTBEAT = timedelta(seconds=5)


@dataclass(frozen=True)
class Stage:
    """What a test plays on."""

    broker: MemoryBroker
    """The worker's own connection."""
    ledger: ScriptedLedger
    clock: HeldClock
    worker: Worker
    stop: asyncio.Event
    run: "asyncio.Task[None]"

    async def ended(self) -> None:
        """Return when the worker has drained."""
        async with asyncio.timeout(PATIENCE):
            await self.run


@asynccontextmanager
async def play(
    service: Service, *, announced: bool = True, max_result: int = 2**20, drain_grace: timedelta = timedelta(0)
) -> AsyncIterator[Stage]:
    """The service's worker is announced and ready; afterwards it is drained."""
    clock = HeldClock()
    broker = MemoryBroker(clock=clock)
    ledger = ScriptedLedger(MemoryBroker(broker.hub))
    for client in (broker, ledger.broker):
        await client.start()
    worker = Worker(
        service,
        broker,
        heartbeat=HEARTBEAT,
        max_result=max_result,
        drain_grace=drain_grace,
        clock=clock,
    )
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        playing = group.create_task(ledger.run())
        await asyncio.sleep(0)
        run = group.create_task(worker.run(stop=stop))
        try:
            if announced:
                async with asyncio.timeout(PATIENCE):
                    await worker.announced.wait()
            yield Stage(broker, ledger, clock, worker, stop, run)
        finally:
            stop.set()
            await _leave(clock, run)
            playing.cancel()


async def _leave(clock: HeldClock, run: "asyncio.Task[None]") -> None:
    """Time flies while the worker drains; child processes end in the system's own time."""
    for _ in range(100):
        if run.done():
            return
        await clock.advance(1)
    await asyncio.wait([run], timeout=PATIENCE)
    run.cancel()
