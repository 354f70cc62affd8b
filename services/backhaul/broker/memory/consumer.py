"""A consumer with credit: how many deliveries it may hold."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from backhaul.broker.memory.delivery import MemoryDelivery, Stored
from backhaul.core.ports.broker import Delivery

if TYPE_CHECKING:
    from backhaul.broker.memory.queue import MemoryQueue


class Consumer:
    """Implements `Subscription`. A resize starts a new generation: only its own deliveries use up its credit."""

    def __init__(
        self,
        queue: "MemoryQueue",
        on_delivery: Callable[[Delivery], None],
        credit: int,
        on_lost: Callable[[], None] | None,
    ) -> None:
        self.queue = queue
        self.generation = 0
        self._on_delivery = on_delivery
        self._credit = credit
        self._on_lost = on_lost
        self._held: dict[MemoryDelivery, None] = {}
        self._used = 0

    @property
    def open(self) -> bool:
        """Whether it may be given another delivery now."""
        return self._used < self._credit

    def deliver(self, stored: Stored) -> None:
        delivery = MemoryDelivery(stored, self.queue, self)
        self._held[delivery] = None
        self._used += 1
        self._on_delivery(delivery)

    def release(self, delivery: MemoryDelivery) -> None:
        """A delivery was settled: its credit comes back, if it was of this generation."""
        self._held.pop(delivery, None)
        if delivery.generation == self.generation:
            self._used -= 1
            self.queue.wake()

    def lose(self) -> None:
        """The connection is lost: what is held is void, and waits in the queue again."""
        held, self._held, self._used = list(self._held), {}, 0
        self.generation += 1
        for delivery in held:
            delivery.settled = True
        self.queue.take_back([delivery.stored for delivery in held])
        if self._on_lost is not None:
            self._on_lost()

    async def resize(self, free: Callable[[], int]) -> None:
        self.generation += 1
        self._used = 0
        self._credit = free()
        self.queue.wake()

    async def cancel(self) -> None:
        self._credit = 0
        self.queue.leave(self)
