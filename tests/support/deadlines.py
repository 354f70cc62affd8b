"""How long a test waits: for the answer of a server, and until something is so."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any

ANSWER_TIMEOUT = timedelta(seconds=20)
_PATIENCE = timedelta(seconds=10)
_HASTE = 1000


def within(limit: timedelta = ANSWER_TIMEOUT) -> asyncio.Timeout:
    """`asyncio.timeout` for one exchange with a test server."""
    return asyncio.timeout(limit.total_seconds())


async def until(reached: Callable[[], Any], *, patience: timedelta = _PATIENCE) -> None:
    """Let the loop turn until it is so: fast at first, then without taking all of the processor."""
    async with asyncio.timeout(patience.total_seconds()):
        for turn in count():
            if reached():
                return
            await asyncio.sleep(0 if turn < _HASTE else 0.001)
