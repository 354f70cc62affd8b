"""Looking through a queue in memory."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from backhaul.broker.memory.delivery import MemoryDelivery, Stored
from backhaul.broker.memory.queue import MemoryQueue
from backhaul.core.ports.broker import Delivery, Look


class Search:
    """The messages of one look that were wanted, until it ends."""

    def __init__(self, queue: MemoryQueue, connected: Callable[[], bool]) -> None:
        self._queue = queue
        self._connected = connected
        self._held: dict[MemoryDelivery, None] = {}

    def through(self, want: Callable[[Delivery], bool], most: int, heaviest: int) -> Look:
        """Ask `want`, and hold what it wants."""
        seen = self._queue.look(most, heaviest)
        wanted = [delivery for delivery in map(self._delivery, seen) if want(delivery)]
        unseen = len(self._queue) - len(seen)
        for delivery in wanted:
            if self._queue.remove(delivery.stored):
                self._held[delivery] = None
        return Look(tuple(self._held), unseen)

    def settle(self, delivery: MemoryDelivery, *, acked: bool) -> None:
        """An acknowledgement counts only if there is a connection to carry it."""
        if acked and self._connected():
            self._held.pop(delivery, None)

    def end(self) -> None:
        """What was not acknowledged waits again."""
        held, self._held = self._held, {}
        for delivery in held:
            self._queue.put_back(delivery.stored)

    def _delivery(self, stored: Stored) -> MemoryDelivery:
        return MemoryDelivery(stored, self, 0)


@asynccontextmanager
async def looking(
    queue: MemoryQueue, want: Callable[[Delivery], bool], most: int, heaviest: int, connected: Callable[[], bool]
) -> AsyncIterator[Look]:
    """See `Broker.look`."""
    search = Search(queue, connected)
    async with queue.look_lock:
        try:
            yield search.through(want, most, heaviest)
        finally:
            search.end()
