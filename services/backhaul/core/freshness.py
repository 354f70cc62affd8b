"""Freshness: what stands in the store is known here as it was a moment ago, and read again when that is too old."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from backhaul.core.clock import Clock


class Freshness:
    """Whoever asks while `read` is under way waits for it, so that many ask the store once."""

    def __init__(self, clock: Clock, read: Callable[[], Awaitable[None]]) -> None:
        self._clock = clock
        self._read = read
        self._reading = asyncio.Lock()
        self._read_at: datetime | None = None

    async def within(self, age: timedelta) -> None:
        """Read, unless that was done within `age`. What was read is as old as the beginning of the read."""
        if self.younger_than(age):
            return
        async with self._reading:
            if self.younger_than(age):
                return
            now = self._clock.now()
            await self._read()
            self._read_at = now

    def younger_than(self, age: timedelta) -> bool:
        """Whether what is known was read within `age`. A clock that was set back makes it old."""
        return self._read_at is not None and timedelta(0) <= self._clock.now() - self._read_at < age
