"""Draining a worker from outside, on the platform in memory."""

import asyncio

from backhaul import Service
from backhaul.testing import Harness
from tests.support.deadlines import until, within


async def test_a_drained_worker_finishes_what_it_runs_takes_nothing_more_and_leaves() -> None:
    service, begun, go = Service("echo", version="1.0.0"), asyncio.Event(), asyncio.Event()

    @service.handler("echo.say")
    async def say(word: str) -> str:
        begun.set()
        await go.wait()
        return word

    async with within(), Harness(service, settings={"heartbeat": "50ms", "drain_grace": "1m"}) as platform:
        running = await platform.submit("echo.say", "last")
        await begun.wait()
        (worker,) = platform.platform.workers
        drained = await platform.client.drain_worker(worker.id)
        await until(lambda: worker.view().state == "draining")
        late = await platform.submit("echo.say", "late")

        go.set()

        assert await running.result() == "last"
        while await platform.client.workers():
            await asyncio.sleep(0.01)  # it leaves by saying so to the ledger, and nobody tells us
        assert (drained.id, drained.state) == (worker.id, "draining")
        assert (await late.refresh()).status == "queued"
