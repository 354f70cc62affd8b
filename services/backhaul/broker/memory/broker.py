"""The Broker port in one process: the semantics of RabbitMQ that matter, and faults on demand."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

from backhaul.broker.memory.consumer import MemoryConsumer, Taken
from backhaul.broker.memory.faults import Faults
from backhaul.broker.memory.hub import Hub
from backhaul.broker.memory.looking import looking
from backhaul.broker.memory.queue import MemoryQueue
from backhaul.broker.memory.subscriber import Handling
from backhaul.core.clock import Clock
from backhaul.core.errors import BrokerUnavailable, ConfigurationError, Unroutable
from backhaul.core.messages.topology import Binding, Misfit, Topology
from backhaul.core.ports.broker import Delivery, Look, Message, Subscription


class MemoryBroker:
    """The `Broker` port in memory: one connection to `hub`, or to a hub of its own with this clock and these faults.

    Nothing outlives the process, and nothing is threadsafe: all users of a hub live in one event loop. Time comes from
    the clock, and the order of events from the event loop alone, so that the same program does the same again.
    """

    def __init__(
        self,
        hub: Hub | None = None,
        *,
        clock: Clock | None = None,
        faults: Faults | None = None,
        name: str = "the broker in memory",
    ) -> None:
        self.hub = hub or Hub(clock=clock, faults=faults)
        self.name = name
        self._started = False
        self._severed = False
        self._consumers: list[MemoryConsumer] = []
        self._handlings: list[Handling] = []
        self._taken: list[Taken] = []
        self._owned: dict[str, Topology] = {}
        self._callbacks: list[Callable[[], None]] = []
        self._connections = 0

    @property
    def connected(self) -> bool:
        return self._started and not self._severed and self.hub.running

    @property
    def refuses(self) -> str | None:
        return None

    @property
    def blocked(self) -> str | None:
        return None

    @property
    def reconnects(self) -> int:
        return max(0, self._connections - 1)

    async def start(self, *, required: bool = True, patient: bool = False) -> None:
        if self._started:
            return
        if required and not patient and not self.hub.running:
            raise BrokerUnavailable(f"{self.name} is down: call `up` on its hub")
        self._started = True
        self._severed = not self.hub.running
        self._connections += self.hub.running
        self.hub.join(self)
        self.attach()

    async def stop(self) -> None:
        if not self._started:
            return
        self._started = False
        for handling in self._handlings:
            await handling.close()
        for consumer in self._consumers:
            consumer.close()
        for taken in self._taken:
            taken.close()
        self._consumers, self._handlings, self._taken = [], [], []
        self.hub.leave(self)

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    def disconnect(self, length: timedelta | None = None) -> None:
        """Lose the connection. It is restored after `length`, or in the next turn of the event loop."""
        self.lose()
        if length is None:
            asyncio.get_running_loop().call_soon(self.restore)
        else:
            self.hub.later(length, self.restore)

    async def declare(self, topology: Topology) -> None:
        for queue in topology.queues:
            if queue.owned:
                bindings = tuple(binding for binding in topology.bindings if binding.queue == queue.name)
                self._owned[queue.name] = Topology(queues=(queue,), bindings=bindings)
        self._need()
        self.hub.declare(topology)

    async def check(self, topology: Topology) -> list[Misfit]:
        self._need()
        return self.hub.check(topology)

    async def unbind(self, bindings: Sequence[Binding]) -> None:
        self._need()
        self.hub.unbind(bindings)

    async def delete(self, queue: str) -> None:
        self._need()
        self.hub.delete(queue)

    async def publish(self, messages: Sequence[Message]) -> None:
        self._need()
        dice = self.hub.dice
        failed = any(message.persistent for message in messages) and dice.drops()
        lost = self.hub.publish(messages[: dice.arrived(len(messages))] if failed else messages)
        await asyncio.sleep(0)  # as for any broker, others have their turn meanwhile
        if failed:
            raise BrokerUnavailable(f"{self.name} has not confirmed {len(messages)} messages: publish them again")
        if lost:
            raise Unroutable(lost)

    async def consume(
        self,
        queue: str,
        on_delivery: Callable[[Delivery], None],
        *,
        credit: int,
        on_lost: Callable[[], None] | None = None,
    ) -> Subscription:
        consumer = MemoryConsumer(self.hub, queue, on_delivery, credit=credit, on_lost=on_lost)
        self._consumers = [known for known in self._consumers if known.in_use] + [consumer]
        self.attach()
        return consumer

    async def subscribe(
        self, queue: str, handle: Callable[[Delivery], Awaitable[None]], *, credit: int
    ) -> Subscription:
        handling = Handling(queue, handle, self.hub.clock)
        self._handlings.append(handling)
        return await self.consume(queue, handling.take, credit=credit)

    async def get(self, queue: str, limit: int) -> list[Delivery]:
        found = self._standing(queue)
        taken = Taken(self.hub, queue)
        self._taken = [known for known in self._taken if len(known)] + [taken]
        return [taken.take(stored) for stored in found.take(limit)]

    def look(
        self, queue: str, want: Callable[[Delivery], bool], *, most: int, heaviest: int
    ) -> AbstractAsyncContextManager[Look]:
        return looking(self._standing(queue), want, most, heaviest, lambda: self.connected)

    async def ready(self, queue: str) -> int | None:
        self._need()
        found = self.hub.queue(queue)
        return len(found) if found is not None else None

    async def readers(self, queue: str) -> int | None:
        self._need()
        found = self.hub.queue(queue)
        return found.readers if found is not None else None

    def lose(self) -> None:
        """The connection is gone: every delivery is void."""
        if self.connected or not self.hub.running:
            self._severed = True
            for consumer in self._consumers:
                consumer.lose()
            for taken in self._taken:
                taken.close()

    def restore(self) -> None:
        """The connection is back, with all that was declared and consumed."""
        if not self._started or not self._severed or not self.hub.running:
            return
        self._severed = False
        self._connections += 1
        for topology in self._owned.values():
            self.hub.declare(topology)
        self.attach()
        for callback in self._callbacks:
            callback()

    def attach(self) -> None:
        """Let every consumer consume that can."""
        if self.connected:
            for consumer in self._consumers:
                consumer.attach()

    def _standing(self, queue: str) -> MemoryQueue:
        self._need()
        found = self.hub.queue(queue)
        if found is None:
            raise ConfigurationError(f"queue {queue} does not exist: run `backhaul topology apply`")
        return found

    def _need(self) -> None:
        if not self.connected:
            raise BrokerUnavailable(f"{self.name} is not connected: it is tried again")
