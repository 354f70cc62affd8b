"""A queue: order, credit, redelivery with a count, dead letters, expiry, and one active reader where asked for."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from backhaul.broker.memory.consumer import Consumer
from backhaul.broker.memory.delivery import Stored
from backhaul.core.clock import Clock
from backhaul.core.ports.broker import Message
from backhaul.core.topology import OWNED_BYTES, Queue


class MemoryQueue:
    """Delivers through the event loop's next turn, never from inside a publish: no caller meets itself."""

    def __init__(self, spec: Queue, clock: Clock, dead_letter: Callable[[str, Message], None]) -> None:
        self.spec = spec
        self._clock = clock
        self._dead_letter = dead_letter
        self._ready: deque[Stored] = deque()
        self._bytes = 0
        self._consumers: deque[Consumer] = deque()
        self._awake = False
        self._mortal = False
        self.halted = False

    def put(self, stored: Stored, overtaking: int = 0) -> None:
        """Append a message; `overtaking`: that many places further ahead."""
        self._ready.insert(max(0, len(self._ready) - overtaking), stored)
        self._bytes += len(stored.message.body)
        self._mortal |= stored.expires_at is not None
        while self.spec.owned and self._bytes > OWNED_BYTES:
            self._bytes -= len(self._ready.popleft().message.body)
        self.wake()

    def take_back(self, returned: Sequence[Stored]) -> None:
        """Deliveries that came back, to the head and in their order; too often: to the dead letters."""
        for stored in reversed(returned):
            stored.tries += 1
            if stored.tries > self.spec.delivery_limit and self.spec.dead_letter_to and not self.spec.owned:
                self._dead_letter(self.spec.dead_letter_to, stored.message)
            else:
                self._ready.appendleft(stored)
                self._bytes += len(stored.message.body)
        self.wake()

    def join(self, consumer: Consumer) -> None:
        self._consumers.append(consumer)
        self.wake()

    def leave(self, consumer: Consumer) -> None:
        if consumer in self._consumers:
            self._consumers.remove(consumer)
        self.wake()

    def lose_consumers(self) -> None:
        """The connection of every consumer is lost; they stay, and go on when the queue is no longer halted."""
        for consumer in list(self._consumers):
            consumer.lose()

    @property
    def ready(self) -> int:
        self._expire()
        return len(self._ready)

    def pop(self) -> Stored | None:
        """The message at the head, if there is one."""
        self._expire()
        if not self._ready:
            return None
        stored = self._ready.popleft()
        self._bytes -= len(stored.message.body)
        return stored

    def wake(self) -> None:
        """Deliver what can be delivered, in the loop's next turn."""
        if not self._awake and self._ready and self._consumers:
            self._awake = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._awake = False
        while (
            not self.halted and (consumer := self._next_consumer()) is not None and (stored := self.pop()) is not None
        ):
            consumer.deliver(stored)

    def _next_consumer(self) -> Consumer | None:
        if self.spec.single_active_consumer:
            active = self._consumers[0] if self._consumers else None
            return active if active is not None and active.open else None
        for _ in range(len(self._consumers)):
            consumer = self._consumers[0]
            self._consumers.rotate(-1)
            if consumer.open:
                return consumer
        return None

    def _expire(self) -> None:
        if not self._mortal:
            return
        now = self._clock.now()
        for stored in [stored for stored in self._ready if stored.expires_at and stored.expires_at <= now]:
            self._ready.remove(stored)
            self._bytes -= len(stored.message.body)
            if self.spec.dead_letter_to:
                self._dead_letter(self.spec.dead_letter_to, stored.message)
