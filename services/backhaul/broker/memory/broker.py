"""The broker port in one process: deterministic, no threads, no clock of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from backhaul.broker.memory.consumer import Consumer
from backhaul.broker.memory.delivery import MemoryDelivery, Stored
from backhaul.broker.memory.faults import Faults
from backhaul.broker.memory.queue import MemoryQueue
from backhaul.broker.memory.routing import Routes
from backhaul.broker.memory.subscriber import Subscriber
from backhaul.core.clock import Clock, SystemClock
from backhaul.core.errors import BrokerUnavailable, ConfigurationError, Unroutable
from backhaul.core.ports.broker import Delivery, Message, Subscription
from backhaul.core.topology import Misfit, Queue, Topology

_UNBOUNDED = 2**31


class MemoryBroker:
    """All roles of a process share one. `disconnect`, `down` and `up` provoke what networks do."""

    def __init__(self, *, clock: Clock | None = None, faults: Faults | None = None) -> None:
        self._clock = clock or SystemClock()
        self._faults = faults
        self._routes = Routes()
        self._queues: dict[str, MemoryQueue] = {}
        self._reconnected: list[Callable[[], None]] = []
        self._subscribers: list[Subscriber] = []
        self._late: set[asyncio.Task[None]] = set()
        self._up = True

    @property
    def connected(self) -> bool:
        return self._up

    async def start(self, *, required: bool = True) -> None:
        if required and not self._up:
            raise BrokerUnavailable("the in-process broker is down: call up()")

    async def stop(self) -> None:
        for subscriber in self._subscribers:
            await subscriber.stop()
        for task in list(self._late):
            task.cancel()

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        self._reconnected.append(callback)

    def disconnect(self) -> None:
        """Cut every connection and restore it: whatever is held is void and comes again."""
        self.down()
        self.up()

    def down(self) -> None:
        """Be unreachable until `up`. What is in the queues stays there."""
        self._up = False
        for queue in self._queues.values():
            queue.halted = True
            queue.lose_consumers()

    def up(self) -> None:
        """Be reachable again."""
        self._up = True
        for queue in self._queues.values():
            queue.halted = False
            queue.wake()
        for callback in self._reconnected:
            callback()

    async def declare(self, topology: Topology) -> None:
        self._require()
        misfits = [misfit for misfit in self._compare(topology) if misfit.fact != _MISSING]
        if misfits:
            raise ConfigurationError(f"{misfits[0].thing} {misfits[0].fact}: delete it, then declare it again")
        for exchange in topology.exchanges:
            self._routes.add(exchange)
        for queue in topology.queues:
            if queue.name not in self._queues:
                self._queues[queue.name] = MemoryQueue(queue, self._clock, self._bury)
        for binding in topology.bindings:
            if binding.exchange not in self._routes.exchanges:
                raise ConfigurationError(f"exchange {binding.exchange} is missing: run `backhaul topology apply`")
            self._routes.bind(binding)

    async def check(self, topology: Topology) -> list[Misfit]:
        self._require()
        return self._compare(topology)

    async def publish(self, messages: Sequence[Message]) -> None:
        self._require()
        unroutable = [message.routing_key for message in messages if not self._accept(message) and message.mandatory]
        await asyncio.sleep(0)  # whoever publishes in a loop lets others have their turn
        if unroutable:
            raise Unroutable(unroutable)

    async def consume(
        self,
        queue: str,
        on_delivery: Callable[[Delivery], None],
        *,
        credit: int,
        on_lost: Callable[[], None] | None = None,
    ) -> Subscription:
        found = self._queue(queue)
        consumer = Consumer(found, on_delivery, credit, on_lost)
        found.join(consumer)
        return consumer

    async def subscribe(
        self, queue: str, handle: Callable[[Delivery], Awaitable[None]], *, credit: int
    ) -> Subscription:
        subscriber = Subscriber(handle, self._clock)
        self._subscribers.append(subscriber)
        return await self.consume(queue, subscriber, credit=credit)

    async def get(self, queue: str, limit: int) -> list[Delivery]:
        found = self._queue(queue)
        reader = Consumer(found, lambda _: None, _UNBOUNDED, None)
        taken = [stored for _ in range(limit) if (stored := found.pop()) is not None]
        return [MemoryDelivery(stored, found, reader) for stored in taken]

    async def ready(self, queue: str) -> int | None:
        self._require()
        found = self._queues.get(queue)
        return None if found is None else found.ready

    def _require(self) -> None:
        if not self._up:
            raise BrokerUnavailable("the in-process broker is down")

    def _queue(self, name: str) -> MemoryQueue:
        self._require()
        if name not in self._queues:
            raise ConfigurationError(f"there is no queue {name}: run `backhaul topology apply`")
        return self._queues[name]

    def _compare(self, topology: Topology) -> list[Misfit]:
        exchanges, queues = self._routes.exchanges, self._queues
        wanted_queues = [(f"queue {queue.name}", queue, self._spec(queue.name)) for queue in topology.queues]
        wanted_exchanges = [
            (f"exchange {wanted.name}", wanted, exchanges.get(wanted.name)) for wanted in topology.exchanges
        ]
        found = [
            Misfit(thing, _MISSING if there is None else _DIFFERENT)
            for thing, wanted, there in (*wanted_exchanges, *wanted_queues)
            if there != wanted
        ]
        loose = [
            binding for binding in topology.bindings if binding.queue in queues and not self._routes.bound(binding)
        ]
        return found + [Misfit(f"binding of {binding.queue} to {binding.exchange}", _MISSING) for binding in loose]

    def _spec(self, name: str) -> Queue | None:
        return self._queues[name].spec if name in self._queues else None

    def _accept(self, message: Message) -> bool:
        """Route a message, faults included. Returns whether any queue wanted it."""
        try:
            names = self._routes.queues(message.exchange, (message.routing_key, *message.copies_to))
        except KeyError as error:
            raise ConfigurationError(
                f"there is no exchange {message.exchange}: run `backhaul topology apply`"
            ) from error
        queues = [self._queues[name] for name in names if name in self._queues]
        if self._faults is None:
            for queue in queues:
                queue.put(self._stored(message))
        else:
            self._meddle(self._faults, message, queues)
        return bool(queues)

    def _stored(self, message: Message) -> Stored:
        return Stored(message, self._clock.now() + message.expiration if message.expiration is not None else None)

    def _meddle(self, faults: Faults, message: Message, queues: Sequence[MemoryQueue]) -> None:
        lost = faults.strikes(faults.drop)
        if lost and not message.persistent:
            return
        if not lost or faults.strikes(0.5):
            for queue in queues:
                for _ in range(2 if faults.strikes(faults.duplicate) else 1):
                    self._put(faults, queue, message)
        if lost:
            raise BrokerUnavailable("the broker did not confirm in time (an injected fault)")

    def _put(self, faults: Faults, queue: MemoryQueue, message: Message) -> None:
        if faults.strikes(faults.delay):
            task = asyncio.get_running_loop().create_task(self._put_late(faults.lateness(), queue, message))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        else:
            queue.put(self._stored(message), faults.overtaken() if faults.strikes(faults.reorder) else 0)

    async def _put_late(self, lateness: timedelta, queue: MemoryQueue, message: Message) -> None:
        await self._clock.sleep(lateness)
        queue.put(self._stored(message))

    def _bury(self, name: str, message: Message) -> None:
        if name in self._queues:
            self._queues[name].put(Stored(message))


_MISSING = "is missing"
_DIFFERENT = "exists with other properties"
