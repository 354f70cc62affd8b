"""The backlog: a queue in which too much waits takes no more submits."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta

from backhaul.core.clock import Clock
from backhaul.core.ports.store import Store
from backhaul.gateway.access.limits import TooMany
from backhaul.gateway.http.replies import retry_after

_FRESH = timedelta(seconds=1)
_PATIENCE = 5


class Backlog:
    """Counts what waits once a second, and what is submitted here since: several gateways together may go beyond
    `most` by what they take within that second. None: no limit, and nothing is counted."""

    def __init__(self, store: Store, clock: Clock, most: int | None) -> None:
        self._store = store
        self._clock = clock
        self._most = most
        self._waiting: Counter[str] = Counter()
        self._counted_at: datetime | None = None
        self._counting = asyncio.Lock()

    async def take_place(self, queue: str) -> None:
        """Count a submit to this queue. Raises `TooMany` if it is full."""
        if self._most is None:
            return
        await self._count(self._most)
        if self._waiting[queue] >= self._most:
            detail = f"{self._most} tasks wait in queue {queue!r}, and it takes no more for now: try again later."
            raise TooMany(detail, [retry_after(_PATIENCE)])
        self._waiting[queue] += 1

    async def _count(self, most: int) -> None:
        if self._fresh():
            return
        async with self._counting:
            if self._fresh():
                return
            now = self._clock.now()
            self._waiting = Counter(await self._store.waiting(most))
            self._counted_at = now

    def _fresh(self) -> bool:
        return self._counted_at is not None and timedelta(0) <= self._clock.now() - self._counted_at < _FRESH
