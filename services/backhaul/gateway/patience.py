"""How long the gateway waits for others: a client is told within two seconds that something is down."""

import asyncio
from collections.abc import Awaitable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from backhaul.core.errors import StoreUnavailable

T = TypeVar("T")

STORE_PATIENCE = timedelta(milliseconds=1800)


async def answered(reply: Awaitable[T]) -> T:
    """What the store answers. Raises `StoreUnavailable` also if it does not answer in time."""
    try:
        async with asyncio.timeout(STORE_PATIENCE.total_seconds()):
            return await reply
    except TimeoutError:
        raise StoreUnavailable(
            f"the database did not answer within {STORE_PATIENCE.total_seconds()} s: check its load and its connection"
        ) from None


async def first_of(*waits: Coroutine[Any, Any, object]) -> None:
    """Return when one of `waits` has returned, or raise what it raised; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
