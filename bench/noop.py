"""The service that the benchmarks load: it does nothing, so what is measured is the platform."""

import asyncio

from backhaul import Context, Service

service = Service("bench", version="1.0.0", slots=200)


@service.handler("bench.noop")
async def noop(value: int) -> int:
    return value


crowd = Service("crowd", version="1.0.0", slots=500)


@crowd.handler("crowd.hold")
async def hold(seconds: float, ctx: Context) -> float:
    """Holds a slot for a while, saying something now and then, as a task that waits for a model would."""
    for _ in range(10):
        await asyncio.sleep(seconds / 10)
        await ctx.output(".")
    return seconds
