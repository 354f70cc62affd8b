"""How long the gateway waits for others: a client is told within two seconds that something is down."""

import asyncio
from collections.abc import Awaitable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from backhaul.core.deadlines import Deadline
from backhaul.core.errors import BrokerUnavailable, ConfigurationError, StoreUnavailable

T = TypeVar("T")

# A database that hangs does not let go of a connection in good order, either: that would take seconds.
STORE_PATIENCE = Deadline(timedelta(milliseconds=1600), farewell=timedelta(milliseconds=200))
BROKER_PATIENCE = timedelta(milliseconds=1500)


async def answered(reply: Awaitable[T]) -> T:
    """What the store answers. Raises `StoreUnavailable` also if it does not answer in time."""
    try:
        with STORE_PATIENCE():
            return await reply
    except TimeoutError:
        raise StoreUnavailable(
            f"the database did not answer within {STORE_PATIENCE.seconds} s: check its load and its connection"
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
