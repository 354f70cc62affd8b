"""Our port to RabbitMQ beside bare aio-pika, in one run on one broker: round trips, throughput, CPU.

    python -m bench.broker [URL]      default: what the tests use (given by URL, installed, or in a container)

Quorum queues, persistent messages of 450 bytes, every publish confirmed, everything acknowledged. Publisher and
consumer share one process, so the CPU per message is that of both together.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import Protocol

import aio_pika
import uvloop

from backhaul.broker.rabbitmq import RabbitBroker
from backhaul.core.messages.topology import Queue, Topology
from backhaul.core.ports.broker import Delivery, Message
from tests.support.servers import rabbitmq

BODY = b"x" * 450
QUEUE = "bench.broker"
BATCH = 50
ROUND_TRIPS = 2_000
BATCHES = 400
CREDIT = 500


class Way(Protocol):
    """One way to use RabbitMQ."""

    async def publish(self, number: int) -> None:
        """Publish so many messages, and return when all are confirmed."""
        ...

    async def listen(self, arrived: Callable[[], None]) -> None:
        """Consume and acknowledge, and say each time that one has arrived."""
        ...

    async def deafen(self) -> None:
        """Consume no more."""
        ...


class Bare:
    """aio-pika as its documentation shows it; the publishes of a batch are all under way at once."""

    def __init__(self, connections: tuple[aio_pika.abc.AbstractConnection, aio_pika.abc.AbstractConnection]) -> None:
        self._publishing, self._consuming = connections
        self._exchange: aio_pika.abc.AbstractExchange | None = None
        self._queue: aio_pika.abc.AbstractQueue | None = None
        self._tag = ""

    @classmethod
    @asynccontextmanager
    async def on(cls, url: str) -> AsyncIterator["Bare"]:
        async with await aio_pika.connect(url) as publishing, await aio_pika.connect(url) as consuming:
            bare = cls((publishing, consuming))
            bare._exchange = (await publishing.channel()).default_exchange
            yield bare

    async def publish(self, number: int) -> None:
        assert self._exchange is not None
        publishes = [self._exchange.publish(self._message(), QUEUE, mandatory=True) for _ in range(number)]
        await (publishes[0] if number == 1 else asyncio.gather(*publishes))

    async def listen(self, arrived: Callable[[], None]) -> None:
        async def hear(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            arrived()
            await message.ack()

        channel = await self._consuming.channel()
        await channel.set_qos(prefetch_count=CREDIT)
        self._queue = await channel.declare_queue(QUEUE, passive=True)
        self._tag = await self._queue.consume(hear)

    async def deafen(self) -> None:
        assert self._queue is not None
        await self._queue.cancel(self._tag)

    def _message(self) -> aio_pika.Message:
        mode = aio_pika.DeliveryMode.PERSISTENT
        return aio_pika.Message(BODY, content_type="application/json", message_id="bench", delivery_mode=mode)


class Ours:
    """The port."""

    def __init__(self, broker: RabbitBroker) -> None:
        self._broker = broker
        self._cancel: Callable[[], Awaitable[None]] | None = None

    @classmethod
    @asynccontextmanager
    async def on(cls, url: str) -> AsyncIterator["Ours"]:
        broker = RabbitBroker(url, name="bench")
        await broker.start()
        yield cls(broker)
        await broker.stop()

    async def publish(self, number: int) -> None:
        message = Message(
            exchange="", routing_key=QUEUE, body=BODY, content_type="application/json", message_id="bench"
        )
        await self._broker.publish([message] * number)

    async def listen(self, arrived: Callable[[], None]) -> None:
        def hear(delivery: Delivery) -> None:
            arrived()
            delivery.ack()

        self._cancel = (await self._broker.consume(QUEUE, hear, credit=CREDIT)).cancel

    async def deafen(self) -> None:
        assert self._cancel is not None
        await self._cancel()


class Counter:
    """Counts arrivals, and wakes who waits for one of them."""

    def __init__(self) -> None:
        self.number = 0
        self._wanted = 0
        self._reached = asyncio.Event()

    def __call__(self) -> None:
        self.number += 1
        if self.number >= self._wanted:
            self._reached.set()

    async def reaches(self, number: int) -> None:
        self._wanted = number
        self._reached.clear()
        if self.number < number:
            await self._reached.wait()


@dataclass(frozen=True, slots=True)
class Speed:
    """Messages a second, and the process's CPU for each."""

    per_second: float
    cpu_us: float

    def __str__(self) -> str:
        return f"{self.per_second:8,.0f}/s {self.cpu_us:6.1f} µs CPU"


async def timed(messages: int, work: Awaitable[None]) -> Speed:
    """How fast `work` does something with so many messages."""
    wall, cpu = time.perf_counter(), time.process_time()
    await work
    return Speed(messages / (time.perf_counter() - wall), (time.process_time() - cpu) / messages * 1e6)


async def measure(way: Way) -> None:
    """All figures of one way."""
    print(f"  publish, {BATCH} at a time         {await timed(BATCH * BATCHES, fill(way))}")
    arrived = Counter()
    print(f"  consume and acknowledge         {await timed(BATCH * BATCHES, empty(way, arrived))}")
    print(f"  both at once, 4 publishers      {await timed(4 * BATCH * BATCHES, both(way, arrived))}")
    trips = sorted([await round_trip(way, arrived) for _ in range(ROUND_TRIPS)])
    p50, p99 = statistics.median(trips), trips[len(trips) * 99 // 100]
    print(f"  one confirmed and consumed      p50 {p50 * 1000:.2f} ms, p99 {p99 * 1000:.2f} ms")
    await way.deafen()


async def fill(way: Way) -> None:
    for _ in range(BATCHES):
        await way.publish(BATCH)


async def empty(way: Way, arrived: Counter) -> None:
    await way.listen(arrived)
    await arrived.reaches(BATCH * BATCHES)


async def both(way: Way, arrived: Counter) -> None:
    target = arrived.number + 4 * BATCH * BATCHES
    await asyncio.gather(*(fill(way) for _ in range(4)))
    await arrived.reaches(target)


async def round_trip(way: Way, arrived: Counter) -> float:
    """The seconds until a message is both confirmed and heard."""
    began, target = time.perf_counter(), arrived.number + 1
    await way.publish(1)
    await arrived.reaches(target)
    return time.perf_counter() - began


async def prepare(url: str) -> None:
    broker = RabbitBroker(url, name="bench")
    await broker.start()
    await broker.declare(Topology(queues=(Queue(QUEUE),)))
    await broker.stop()


async def main(url: str) -> None:
    await prepare(url)
    for name, on in (("bare aio-pika", Bare.on), ("our port", Ours.on)):
        print(name)
        async with on(url) as way:
            await measure(way)


if __name__ == "__main__":
    if sys.argv[1:]:
        uvloop.run(main(sys.argv[1]))
    else:
        with closing(rabbitmq()) as server:
            uvloop.run(main(server.url))
