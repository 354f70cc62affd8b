"""Many tasks at once in one worker."""

import asyncio

import pytest

from backhaul import Context, Service
from backhaul.testing import Harness

pytestmark = pytest.mark.timeout(150)

CROWD = 500


async def test_five_hundred_async_tasks_run_at_once_in_one_worker_and_none_loses_its_lease() -> None:
    service = Service("crowd", version="1.0.0", slots=CROWD)
    everybody = asyncio.Barrier(CROWD)

    @service.handler("crowd.meet")
    async def meet(number: int, ctx: Context) -> tuple[int, int]:
        await ctx.output(f"{number} is here")
        await everybody.wait()
        return number, ctx.attempt

    async with Harness(service, settings={"heartbeat": "500ms", "lease": "2s"}) as platform:
        tasks = await asyncio.gather(*(platform.submit("crowd.meet", number) for number in range(CROWD)))
        results = await asyncio.gather(*(task.result(timeout="120s") for task in tasks))

    assert sorted(results) == [[number, 1] for number in range(CROWD)]
