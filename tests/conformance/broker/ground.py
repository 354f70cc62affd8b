"""What the suite stands on: brokers of one kind, ways to hurt them, and ears to hear by."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol

from yarl import URL

from backhaul.broker.memory import Hub, MemoryBroker
from backhaul.broker.rabbitmq import RabbitBroker
from backhaul.core.ports.broker import Broker, Delivery, Message
from tests.support.deadlines import within
from tests.support.proxy import Proxy

PATIENCE = timedelta(seconds=10)


class Ground(Protocol):
    """One adapter under test. The brokers it makes stand for processes that share one RabbitMQ."""

    def make(self) -> Broker:
        """A broker that is not started."""
        ...

    async def broker(self) -> Broker:
        """A broker that is started; it is stopped after the test."""
        ...

    async def cut(self) -> None:
        """Every connection is lost, and can be restored at once."""
        ...

    async def down(self) -> None:
        """Every connection is lost, and none can be made until `up`."""
        ...

    async def up(self) -> None: ...

    async def close(self) -> None: ...


class MemoryGround:
    def __init__(self) -> None:
        self._hub = Hub()
        self._brokers: list[MemoryBroker] = []

    def make(self) -> MemoryBroker:
        broker = MemoryBroker(self._hub)
        self._brokers.append(broker)
        return broker

    async def broker(self) -> MemoryBroker:
        broker = self.make()
        await broker.start()
        return broker

    async def cut(self) -> None:
        for broker in self._brokers:
            broker.disconnect()

    async def down(self) -> None:
        self._hub.down()

    async def up(self) -> None:
        self._hub.up()

    async def close(self) -> None:
        for broker in self._brokers:
            await broker.stop()


class RabbitGround:
    def __init__(self, url: str) -> None:
        parts = URL(url)
        self._url = parts
        self._proxy = Proxy(parts.host or "", parts.port or 5672)
        self._brokers: list[RabbitBroker] = []

    async def open(self) -> None:
        await self._proxy.open()

    def make(self) -> RabbitBroker:
        url = self._url.with_host("127.0.0.1").with_port(self._proxy.port)
        broker = RabbitBroker(str(url), name="suite", start_timeout=timedelta(seconds=2))
        self._brokers.append(broker)
        return broker

    async def broker(self) -> RabbitBroker:
        broker = self.make()
        await broker.start()
        return broker

    async def cut(self) -> None:
        self._proxy.cut()

    async def down(self) -> None:
        await self._proxy.close()

    async def up(self) -> None:
        await self._proxy.open()

    async def close(self) -> None:
        await self._proxy.open()
        for broker in self._brokers:
            await broker.stop()
        await self._proxy.close()


class Ear:
    """Hears deliveries, and keeps them."""

    def __init__(self, then: Callable[[Delivery], None] | None = None) -> None:
        self.heard: list[Delivery] = []
        self._then = then
        self._changed = asyncio.Event()

    def __call__(self, delivery: Delivery) -> None:
        self.heard.append(delivery)
        self._changed.set()
        if self._then is not None:
            self._then(delivery)

    @property
    def bodies(self) -> list[bytes]:
        return [delivery.body for delivery in self.heard]

    async def count(self, number: int) -> list[Delivery]:
        """Wait until so many deliveries were heard."""
        try:
            async with within(PATIENCE):
                while len(self.heard) < number:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"heard {len(self.heard)} of {number}: {self.bodies[:20]}") from None
        return self.heard


def acking(delivery: Delivery) -> None:
    delivery.ack()


def message(body: bytes, *, queue: str, **properties: object) -> Message:
    """A message to a queue, by the default exchange."""
    return to("", queue, body, **properties)


def to(exchange: str, key: str, body: bytes, **properties: object) -> Message:
    """A message to an exchange."""
    return Message(exchange=exchange, routing_key=key, body=body, content_type="text/plain", **properties)  # type: ignore[arg-type]


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Ask again and again, for what a broker does not announce."""
    try:
        async with within(PATIENCE):
            while not await condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"it never came true that {what}") from None


async def ready(broker: Broker, queue: str, number: int) -> None:
    """Wait until so many messages wait in a queue."""

    async def reached() -> bool:
        return await broker.ready(queue) == number

    await until(reached, f"{number} messages wait in {queue}")


async def connected(broker: Broker) -> None:
    async def reached() -> bool:
        return broker.connected

    await until(reached, "the broker is connected")


async def quiet(broker: Broker, *, queue: str = "suite.quiet") -> None:
    """Let everything that was sent before take effect: several messages have gone to the broker and come back."""
    for number in range(5):
        await broker.publish([message(b"%d" % number, queue=queue)])
        while not (taken := await broker.get(queue, 1)):
            await asyncio.sleep(0)
        taken[0].ack()
