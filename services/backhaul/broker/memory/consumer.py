"""A consumer in memory."""

import logging
from collections.abc import Callable, Iterable

from backhaul.broker.memory.delivery import MemoryDelivery, Stored
from backhaul.broker.memory.hub import Hub
from backhaul.broker.memory.queue import MemoryQueue
from backhaul.core.ports.broker import Delivery

log = logging.getLogger(__name__)


class MemoryConsumer:
    """A `Subscription` to one queue. It is attached again by its client when a connection is restored."""

    def __init__(
        self,
        hub: Hub,
        queue: str,
        on_delivery: Callable[[Delivery], None],
        *,
        credit: int,
        on_lost: Callable[[], None] | None,
    ) -> None:
        self.cancelled = False
        self._hub = hub
        self._name = queue
        self._on_delivery = on_delivery
        self._credit = credit
        self._on_lost = on_lost
        self._connected = False
        self._queue: MemoryQueue | None = None
        self._held: dict[MemoryDelivery, None] = {}
        self._turn = 0
        self._used = 0

    @property
    def in_use(self) -> bool:
        """Whether it may still get deliveries, or holds some."""
        return not self.cancelled or bool(self._held)

    def attach(self) -> None:
        """There is a connection: consume, if there is credit, and a queue, and it is not done so already."""
        self._connected = True
        if self._queue is None and not self.cancelled and self._credit > 0:
            self._queue = self._hub.queue(self._name)
            if self._queue is not None:
                self._queue.attach(self)

    def lose(self) -> None:
        """The connection is gone."""
        self.close()
        if self._on_lost is not None:
            self._on_lost()

    def close(self) -> None:
        """What is held is void, and waits again."""
        self._connected = False
        self._detach()
        held, self._held = self._held, {}
        if (queue := self._hub.queue(self._name)) is not None:
            queue.give_back(delivery.stored for delivery in held)

    async def resize(self, free: Callable[[], int]) -> None:
        self._detach()
        self._credit = free()
        if self._connected:
            self.attach()

    async def cancel(self) -> None:
        self.cancelled = True
        self._detach()

    def hungry(self) -> bool:
        return self._used < self._credit

    def take(self, stored: Stored) -> None:
        delivery = MemoryDelivery(stored, self, self._turn)
        self._held[delivery] = None
        self._used += 1
        try:
            self._on_delivery(delivery)
        except Exception:  # a fault of one consumer must not stop the queue for all
            log.exception("a delivery from %s was not taken: it goes back to the queue", self._name)
            delivery.requeue()

    def settle(self, delivery: MemoryDelivery, *, acked: bool) -> None:
        if delivery not in self._held:
            return
        del self._held[delivery]
        if delivery.turn == self._turn:
            self._used -= 1
        queue = self._hub.queue(self._name)
        if queue is None:
            return
        if acked and not self._hub.dice.duplicates():
            queue.schedule()
        else:
            queue.give_back((delivery.stored,))

    def _detach(self) -> None:
        self._turn += 1
        self._used = 0
        if self._queue is not None:
            self._queue.detach(self)
            self._queue = None


class Taken:
    """Messages that were taken from a queue without consuming it."""

    def __init__(self, hub: Hub, queue: str) -> None:
        self._hub = hub
        self._name = queue
        self._held: dict[MemoryDelivery, None] = {}

    def __len__(self) -> int:
        """How many are not settled."""
        return len(self._held)

    def take(self, stored: Stored) -> MemoryDelivery:
        delivery = MemoryDelivery(stored, self, 0)
        self._held[delivery] = None
        return delivery

    def settle(self, delivery: MemoryDelivery, *, acked: bool) -> None:
        if self._held.pop(delivery, self) is None and not acked:
            self._give_back((delivery,))

    def close(self) -> None:
        """What is held is void, and waits again."""
        held, self._held = self._held, {}
        self._give_back(held)

    def _give_back(self, deliveries: Iterable[MemoryDelivery]) -> None:
        if (queue := self._hub.queue(self._name)) is not None:
            queue.give_back(delivery.stored for delivery in deliveries)
