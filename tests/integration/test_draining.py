"""Draining a worker from outside, on the platform in memory."""

import asyncio

from backhaul import Service
from backhaul.testing import Harness

service = Service("echo", version="1.0.0")


@service.handler("echo.say")
async def say(word: str) -> str:
    await asyncio.sleep(1)
    return word


async def test_a_drained_worker_finishes_what_it_runs_takes_nothing_more_and_leaves() -> None:
    async with Harness(service) as platform:
        task = await platform.submit("echo.say", "last")
        while (await task.refresh()).status != "running":
            await asyncio.sleep(0.01)
        (worker,) = await platform.client.workers()

        drained = await platform.client.drain_worker(worker.id)

        async with asyncio.timeout(20):
            assert await task.result() == "last"
            while await platform.client.workers():
                await asyncio.sleep(0.01)
        late = await platform.submit("echo.say", "late")
        assert (drained.id, drained.state) == (worker.id, "draining")
        assert (await late.refresh()).status == "queued"
