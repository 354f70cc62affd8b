"""The service that the benchmarks load: it does nothing, so what is measured is the platform."""

import asyncio
import time

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


chorus = Service("chorus", version="1.0.0", slots=100)


@chorus.handler("chorus.sing")
async def sing(pieces: int, ctx: Context) -> int:
    """Says a hundred pieces a second, each with its number and when it was said."""
    start = time.monotonic()
    for number in range(pieces):
        await asyncio.sleep(start + number / 100 - time.monotonic())
        await ctx.output(f"{number}@{time.monotonic():.4f} ")
    return pieces
