"""The broker in memory: exchanges, queues, and the way of a message from one to the other."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from backhaul.broker.memory.delivery import Stored
from backhaul.broker.memory.faults import Dice, Faults
from backhaul.broker.memory.queue import MemoryQueue
from backhaul.broker.memory.routing import MemoryExchange
from backhaul.core.clock import Clock, SystemClock
from backhaul.core.errors import ConfigurationError
from backhaul.core.messages.topology import Binding, Exchange, Misfit, Queue, Topology
from backhaul.core.ports.broker import Message

_MISSING = "does not exist"
_DIFFERENT = "delete it, or change it back, then run `backhaul topology apply`"


class Client(Protocol):
    """A `MemoryBroker`, as its hub sees it."""

    def lose(self) -> None:
        """Its connection is gone."""
        ...

    def restore(self) -> None:
        """The broker can be reached again."""
        ...

    def attach(self) -> None:
        """A queue may be there that was not."""
        ...


class Hub:
    """What several `MemoryBroker`s of one process share. It has no loop of its own and reads no clock but `clock`."""

    def __init__(self, *, clock: Clock | None = None, faults: Faults | None = None) -> None:
        self.dice = Dice(faults or Faults())
        self.running = True
        self.clients: list[Client] = []
        self.clock = clock or SystemClock()
        self._exchanges: dict[str, MemoryExchange] = {}
        self._queues: dict[str, MemoryQueue] = {}
        self._waits: set[asyncio.Task[None]] = set()

    @property
    def faults(self) -> Faults:
        return self.dice.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        """From now on other faults, drawn anew from their seed."""
        self.dice = Dice(faults)

    def down(self) -> None:
        """The broker stops: every connection is lost, and transient messages in owned queues with it."""
        self.running = False
        for queue in self._queues.values():
            queue.running = False
        for client in list(self.clients):
            client.lose()
        for queue in self._queues.values():
            queue.forget_transient()

    def up(self) -> None:
        """The broker is back, with all that is durable."""
        self.running = True
        for queue in self._queues.values():
            queue.running = True
            queue.schedule()
        for client in list(self.clients):
            client.restore()

    def join(self, client: Client) -> None:
        self.clients.append(client)

    def leave(self, client: Client) -> None:
        """The last one to leave ends every wait."""
        self.clients.remove(client)
        if not self.clients:
            for wait in self._waits:
                wait.cancel()

    def declare(self, topology: Topology) -> None:
        """See `Broker.declare`."""
        for misfit in self.check(topology):
            if misfit.fact != _MISSING:
                raise ConfigurationError(f"{misfit.thing} {misfit.fact}: {misfit.remedy}")
        for exchange in topology.exchanges:
            self._exchanges.setdefault(exchange.name, MemoryExchange(exchange))
        for queue in topology.queues:
            if queue.name not in self._queues:
                self._queues[queue.name] = MemoryQueue(queue, self)
        for binding in topology.bindings:
            self._bind(binding.exchange, binding.queue, binding.key)
        for client in self.clients:
            client.attach()

    def check(self, topology: Topology) -> list[Misfit]:
        """See `Broker.check`."""
        found: list[tuple[str, Exchange | Queue, Exchange | Queue | None]] = []
        for exchange in topology.exchanges:
            known = self._exchanges.get(exchange.name)
            found.append((f"exchange {exchange.name}", exchange, known.spec if known is not None else None))
        for queue in topology.queues:
            there = self._queues.get(queue.name)
            found.append((f"queue {queue.name}", queue, there.spec if there is not None else None))
        return [
            Misfit(thing, _MISSING) if stands is None else Misfit(thing, "has other properties", _DIFFERENT)
            for thing, wanted, stands in found
            if stands != wanted
        ]

    def queue(self, name: str) -> MemoryQueue | None:
        return self._queues.get(name)

    def unbind(self, bindings: Iterable[Binding]) -> None:
        """See `Broker.unbind`."""
        for binding in bindings:
            if binding.exchange in self._exchanges:
                self._exchanges[binding.exchange].unbind(binding.queue, binding.key)

    def delete(self, queue: str) -> None:
        """A queue goes, with what it holds."""
        self._queues.pop(queue, None)
        for exchange in self._exchanges.values():
            exchange.forget(queue)

    def publish(self, messages: Sequence[Message]) -> list[str]:
        """Put messages into the queues they lead to; returns where mandatory ones found none."""
        lost: list[str] = []
        for message in messages:
            if not message.persistent and self.dice.drops():
                continue
            queues = self._queues_for(message)
            for queue in queues:
                queue.add(self._stored(message))
            if not queues and message.mandatory:
                lost.append(f"{message.exchange or 'the default exchange'} with key {message.routing_key!r}")
        return lost

    def now(self) -> datetime:
        return self.clock.now()

    def later(self, length: timedelta, action: Callable[[], None]) -> None:
        async def wait() -> None:
            await self.clock.sleep(length)
            action()

        task = asyncio.get_running_loop().create_task(wait())
        self._waits.add(task)
        task.add_done_callback(self._waits.discard)

    def dead_letter(self, queue: Queue, stored: Stored, reason: str) -> None:
        """What a queue gives up goes to its dead-letter queue, and says why as RabbitMQ says it."""
        target = self._queues.get(queue.dead_letter_to or "")
        if target is None:
            return
        headers = {**stored.headers, **self._death(queue, stored, reason)}
        headers.pop("CC", None)
        message = replace(
            stored.message, exchange="", routing_key=target.spec.name, copies_to=(), expiration=None, headers={}
        )
        target.add(Stored(message, headers, None))

    def _death(self, queue: Queue, stored: Stored, reason: str) -> dict[str, object]:
        message = stored.message
        death: dict[str, object] = {
            "count": 1,
            "reason": reason,
            "queue": queue.name,
            "time": self.now(),
            "exchange": message.exchange,
            "routing-keys": [message.routing_key, *message.copies_to],
        }
        if message.expiration is not None:
            death["original-expiration"] = str(int(message.expiration.total_seconds() * 1000))
        return {
            "x-death": [death],
            "x-first-death-exchange": message.exchange,
            "x-first-death-queue": queue.name,
            "x-first-death-reason": reason,
        }

    def _bind(self, exchange: str, queue: str, key: str) -> None:
        if exchange not in self._exchanges or queue not in self._queues:
            missing = f"exchange {exchange}" if exchange not in self._exchanges else f"queue {queue}"
            raise ConfigurationError(f"cannot bind {queue} to {exchange}: there is no {missing}; declare it first")
        self._exchanges[exchange].bind(queue, key)

    def _queues_for(self, message: Message) -> list[MemoryQueue]:
        keys = (message.routing_key, *message.copies_to)
        if not message.exchange:
            return [self._queues[key] for key in dict.fromkeys(keys) if key in self._queues]
        exchange = self._exchanges.get(message.exchange)
        names: Mapping[str, None] = {}
        while exchange is not None and not (names := exchange.route(keys)):
            exchange = self._exchanges.get(exchange.spec.alternate or "")
        return [self._queues[name] for name in names]

    def _stored(self, message: Message) -> Stored:
        headers: Mapping[str, object] = message.headers
        if message.copies_to:
            headers = {**headers, "CC": list(message.copies_to)}
        expires_at = self.now() + message.expiration if message.expiration is not None else None
        return Stored(message, headers, expires_at)
