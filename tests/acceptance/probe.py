"""A service whose pace the test sets: each step waits for a byte that the test sends over a socket."""

import asyncio
import os

from pydantic import BaseModel

from backhaul import Context, Service

service = Service("probe", version="1.0.0", slots=50)


class Echo(BaseModel):
    value: str


class Steps(BaseModel):
    port: int
    """Where the test listens, on the loopback interface."""
    count: int


class Walked(BaseModel):
    attempt: int
    pid: int


@service.handler("probe.echo")
async def echo(said: Echo) -> Echo:
    return said


@service.handler("probe.steps")
async def steps(walk: Steps, ctx: Context) -> Walked:
    reader, writer = await asyncio.open_connection("127.0.0.1", walk.port)
    writer.write(f"{ctx.attempt} {os.getpid()}\n".encode())
    try:
        for step in range(1, walk.count + 1):
            await reader.readexactly(1)
            await ctx.output(f"step {step}\n")
    finally:
        writer.close()
    return Walked(attempt=ctx.attempt, pid=os.getpid())
