"""A service that misbehaves when the test says so: each attempt calls the test, and goes on with a byte it sends."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import BaseModel

from backhaul import Context, RetryPolicy, Service

service = Service("unruly", version="1.0.0", slots=10)

_THRICE = RetryPolicy(max_attempts=3, base="100ms", cap="1s")


class Visit(BaseModel):
    port: int
    """Where the test listens, on the loopback interface."""


class Visited(BaseModel):
    attempt: int


@service.handler("unruly.deadly", retry=_THRICE)
async def deadly(visit: Visit, ctx: Context) -> None:
    """Kills its worker."""
    async with _calling(visit, ctx) as reader:
        await reader.readexactly(1)
        os.kill(os.getpid(), signal.SIGKILL)


@service.handler("unruly.meek", retry=_THRICE)
async def meek(visit: Visit, ctx: Context) -> Visited:
    """Stops when it is asked to."""
    async with _calling(visit, ctx) as reader:
        await reader.readexactly(1)
    return Visited(attempt=ctx.attempt)


@service.handler("unruly.stubborn", retry=_THRICE)
async def stubborn(visit: Visit, ctx: Context) -> Visited:
    """Goes on to its result, whoever asks it to stop."""
    async with _calling(visit, ctx) as reader:
        step = asyncio.ensure_future(reader.readexactly(1))
        while not step.done():
            try:
                await asyncio.shield(step)
            except asyncio.CancelledError:
                continue
    return Visited(attempt=ctx.attempt)


@asynccontextmanager
async def _calling(visit: Visit, ctx: Context) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection("127.0.0.1", visit.port)
    writer.write(f"{ctx.attempt} {os.getpid()}\n".encode())
    try:
        yield reader
    finally:
        writer.close()
