"""How long the gateway waits for others: a client is told within two seconds that something is down."""

import asyncio
from collections.abc import Awaitable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from backhaul.core.errors import BrokerUnavailable, ConfigurationError, StoreUnavailable

T = TypeVar("T")

STORE_PATIENCE = timedelta(milliseconds=1600)
_FAREWELL = timedelta(milliseconds=200)
BROKER_PATIENCE = timedelta(milliseconds=1500)


async def answered(reply: Awaitable[T]) -> T:
    """What the store answers. Raises `StoreUnavailable` also if it does not answer in time."""
    limit = STORE_PATIENCE.total_seconds()
    try:
        # The first to run out gives up the answer, the second the good order in which the store would let go of its
        # connection: of a database that hangs, that takes seconds.
        async with asyncio.timeout(limit + _FAREWELL.total_seconds()), asyncio.timeout(limit):
            return await reply
    except TimeoutError:
        raise StoreUnavailable(
            f"the database did not answer within {limit} s: check its load and its connection"
        ) from None


async def carried(reply: Awaitable[T]) -> T:
    """What the broker answers. Raises `BrokerUnavailable` also if it does not answer in time, or refuses."""
    try:
        async with asyncio.timeout(BROKER_PATIENCE.total_seconds()):
            return await reply
    except TimeoutError:
        raise BrokerUnavailable(f"the broker did not answer within {BROKER_PATIENCE.total_seconds()} s") from None
    except ConfigurationError as error:
        raise BrokerUnavailable(str(error)) from error


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
