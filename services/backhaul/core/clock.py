"""Time as a port: what reads the clock takes one of these, so that tests and simulations can hold it."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The time of day, and waiting for it."""

    def now(self) -> datetime:
        """The time in UTC. It may be set back by the operating system: order nothing by it alone."""
        ...

    async def sleep(self, length: timedelta) -> None:
        """Return after `length`, or raise `CancelledError` at once when cancelled."""
        ...


class SystemClock:
    """The machine's own clock, in whole milliseconds: what is stored and shown is then what was decided upon."""

    def now(self) -> datetime:
        return from_ms(system_ms())

    async def sleep(self, length: timedelta) -> None:
        await asyncio.sleep(length.total_seconds())


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_ms(moment: datetime) -> int:
    """Whole milliseconds since the epoch: how times are stored."""
    return (moment - _EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    """The moment that `milliseconds` since the epoch stand for, exactly: a float is too coarse for far ones."""
    return _EPOCH + milliseconds * _MILLISECOND


def system_ms() -> int:
    """Now, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
