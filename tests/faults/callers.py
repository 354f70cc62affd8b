"""Two services that call each other. Which children are to wait, a test says by files in a folder."""

import asyncio
import os
from pathlib import Path

from backhaul import Context, RetryPolicy, Service

FOLDER = "BACKHAUL_CALLS_FOLDER"

asking = Service("asking", version="1.0.0", slots=1)
answering = Service("answering", version="1.0.0", slots=1)

_PATIENT = RetryPolicy(max_attempts=5, base="100ms", cap="1s")


@asking.handler("asking.sum", retry=_PATIENT)
async def add_up(names: list[str], ctx: Context) -> int:
    """Asks for each number by itself, all at once."""
    numbers = await asyncio.gather(*(ctx.call("answering.number", name) for name in names))
    return sum(numbers)


@asking.handler("asking.length")
async def length(name: str) -> int:
    return len(name)


@answering.handler("answering.number", retry=_PATIENT)
async def number(name: str, ctx: Context) -> int:
    """Calls back, then waits until it may answer."""
    _note(name, ctx)
    said = int(await ctx.call("asking.length", name))
    while not (_folder() / f"{name}.go").exists():
        await asyncio.sleep(0.05)
    return said


def starts(folder: Path, name: str) -> int:
    """How often a number was begun."""
    path = folder / name
    return len(path.read_text().splitlines()) if path.exists() else 0


def _note(name: str, ctx: Context) -> None:
    with (_folder() / name).open("a") as lines:
        lines.write(f"{ctx.task_id} {ctx.attempt}\n")


def _folder() -> Path:
    return Path(os.environ[FOLDER])
