"""Readings that are dear, shared by all who ask for them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_REST = 10


class Shared(Generic[T]):
    """What `read` returns, read once for all who ask meanwhile, and kept for ten times as long as that took.

    So a reading is as fresh as it is cheap, and however many ask, and however often, a tenth of the time is all that
    goes into it. What fails is not kept: each who asks then tries for itself, one after another.
    """

    def __init__(self, read: Callable[[], Awaitable[T]], seconds: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._seconds = seconds
        self._turn = asyncio.Lock()
        self._kept: tuple[T, float] | None = None
        """The last reading, and when it is too old."""

    async def get(self) -> T:
        """Raises what `read` raises."""
        async with self._turn:
            began = self._seconds()
            if self._kept is None or self._kept[1] <= began:
                found = await self._read()
                ended = self._seconds()
                self._kept = found, ended + _REST * (ended - began)
            return self._kept[0]
