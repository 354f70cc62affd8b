"""The broker as one process sees it: at a distance, and every publish and acknowledgement a point to die at.

The broker itself belongs to no process. What it does is run in a context of its own, and what it has to say to a
process is put into the process's socket, where a frozen process leaves it, and from where a dead one never takes it.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import Context, copy_context
from typing import Any, TypeVar, cast

from backhaul.broker.memory import Hub, MemoryBroker
from backhaul.broker.memory.subscriber import Handling
from backhaul.core.clock import Clock
from backhaul.core.errors import BrokerUnavailable
from backhaul.core.ports.broker import Delivery, Message, Subscription
from tests.simulation.loop import PROCESS, Process
from tests.simulation.points import Points
from tests.simulation.weather import Weather

T = TypeVar("T")

_log = logging.getLogger("tests.simulation")


def context_of_nobody() -> Context:
    context = copy_context()
    context.run(PROCESS.set, None)
    return context


class RemoteBroker:
    """A `Broker`: one connection of `process` to `hub`."""

    def __init__(
        self, hub: Hub, clock: Clock, process: Process, points: Points, weather: Weather, met: Counter[str]
    ) -> None:
        self._inner = MemoryBroker(hub, name=f"the connection of {process.name}")
        self._inner.on_reconnect(lambda: None)
        self._hub = hub
        self._clock = clock
        self._process = process
        self._points = points
        self._weather = weather
        self._met = met
        self._broker_side = context_of_nobody()
        self._socket: deque[Callable[[], object]] = deque()
        self._told = False
        self._sent_until = 0.0
        self._losses = 0
        self._handlings: list[Handling] = []

    @property
    def connected(self) -> bool:
        return self._inner.connected

    async def start(self, *, required: bool = True, patient: bool = False) -> None:
        await self._through(self._inner.start(required=required))

    async def stop(self) -> None:
        for handling in self._handlings:
            await handling.close()
        self.hang_up()

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        self._inner.on_reconnect(lambda: self.tell(callback))

    def __getattr__(self, name: str) -> Any:
        """All of the port that needs no more than the way to the broker."""
        asked = getattr(self._inner, name)
        if not callable(asked):
            return asked

        async def ask(*arguments: Any, **options: Any) -> Any:
            await self._weather.travel()
            return await self._through(asked(*arguments, **options))

        return ask

    async def publish(self, messages: Sequence[Message]) -> None:
        weather, process = self._weather, self._process
        what = _destination(messages[0]) if messages else "nothing"
        if weather.happens(weather.connection_lost):
            self._met["connection lost"] += 1
            self.break_off(weather.draw.random() * 2)
        await self._sending()
        await self._points.come_to(process, f"publish.{what} before")
        losses = self._losses
        await self._through(self._inner.publish(messages))
        await self._points.come_to(process, f"publish.{what} after")
        await weather.travel()
        if losses != self._losses:
            raise BrokerUnavailable("the connection was lost before the broker could confirm")

    async def consume(
        self,
        queue: str,
        on_delivery: Callable[[Delivery], None],
        *,
        credit: int,
        on_lost: Callable[[], None] | None = None,
    ) -> Subscription:
        def arrived(delivery: Delivery) -> None:
            self.tell(lambda: self._take(RemoteDelivery(delivery, self, queue), on_delivery))

        def lost() -> None:
            self._losses += 1
            if on_lost is not None:
                self.tell(on_lost)

        await self._weather.travel()
        inner = await self._through(self._inner.consume(queue, arrived, credit=credit, on_lost=lost))
        return RemoteSubscription(self, inner)

    async def subscribe(
        self, queue: str, handle: Callable[[Delivery], Awaitable[None]], *, credit: int
    ) -> Subscription:
        handling = Handling(queue, handle, self._clock)
        self._handlings.append(handling)
        return await self.consume(queue, handling.take, credit=credit)

    def tell(self, say: Callable[[], object]) -> None:
        """Something reaches the process, and is heard when it next runs."""
        self._socket.append(say)
        if not self._told:
            self._told = True
            self._process.call(self.listen)

    def listen(self) -> None:
        """Hear everything that has arrived. Only in the process's own context."""
        self._told = False
        while self._socket and not self._process.dead:
            self._socket.popleft()()

    def listened(self, then: Callable[[], int]) -> int:
        """Hear everything that has arrived, then call `then`, in the process's own context."""

        def both() -> int:
            self.listen()
            return then()

        return self._process.context.copy().run(both)

    def at_broker(self, act: Callable[[], None]) -> None:
        """Do something on the side of the broker."""
        self._broker_side.copy().run(act)

    def break_off(self, seconds: float) -> None:
        """The connection breaks, and is there again after a time."""
        self._losses += 1
        self.at_broker(self._inner.lose)
        asyncio.get_running_loop().call_later(seconds, self._inner.restore, context=self._broker_side.copy())

    def mend(self) -> None:
        """The connection is there again."""
        self.at_broker(self._inner.restore)

    def hang_up(self) -> None:
        """The broker finds that the process is gone."""
        self.at_broker(lambda: _at_once(self._inner.stop()))

    def settle(self, delivery: Delivery, queue: str, *, acked: bool) -> None:
        what = f"{'ack' if acked else 'requeue'}.{_short(queue)}"
        self._points.touch(self._process, f"{what} before")
        if not self._process.dead:
            self.at_broker(delivery.ack if acked else delivery.requeue)
            self._points.touch(self._process, f"{what} after")

    async def _through(self, call: Coroutine[Any, Any, T]) -> T:
        """Run what the broker does on its own side. It never waits for anything but the next turn of the loop."""
        context = self._broker_side.copy()
        while True:
            try:
                context.run(call.send, None)
            except StopIteration as end:
                result: T = end.value
                return result
            await asyncio.sleep(0)

    async def _sending(self) -> None:
        """What one process publishes arrives in order."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._sent_until = max(self._sent_until, now + self._weather.way())
        if self._sent_until > now:
            await asyncio.sleep(self._sent_until - now)

    def _take(self, delivery: "RemoteDelivery", on_delivery: Callable[[Delivery], None]) -> None:
        try:
            on_delivery(cast("Delivery", delivery))
        except Exception:  # noqa: BLE001 - as the adapters do
            _log.exception("a delivery was not taken")
            delivery.requeue()


class RemoteDelivery:
    """A delivery; all but settling it is what it was on the side of the broker."""

    def __init__(self, delivery: Delivery, broker: RemoteBroker, queue: str) -> None:
        self._delivery = delivery
        self._broker = broker
        self._queue = queue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._delivery, name)

    def ack(self) -> None:
        self._broker.settle(self._delivery, self._queue, acked=True)

    def requeue(self) -> None:
        self._broker.settle(self._delivery, self._queue, acked=False)


class RemoteSubscription:
    """A `Subscription`."""

    def __init__(self, broker: RemoteBroker, inner: Subscription) -> None:
        self._broker = broker
        self._inner = inner

    async def resize(self, free: Callable[[], int]) -> None:
        await self._broker._weather.travel()
        await self._broker._through(_coroutine(self._inner.resize(lambda: self._broker.listened(free))))

    async def cancel(self) -> None:
        await self._broker._through(_coroutine(self._inner.cancel()))


def _at_once(call: Coroutine[Any, Any, None]) -> None:
    try:
        call.send(None)
    except StopIteration:
        return
    raise AssertionError("the broker in memory waited where it never does")


def _coroutine(call: Any) -> Coroutine[Any, Any, Any]:
    return cast("Coroutine[Any, Any, Any]", call)


def _destination(message: Message) -> str:
    return _short(message.exchange or message.routing_key)


def _short(name: str) -> str:
    """`claims` for `backhaul.claims`, `replies` for the mailbox of a worker."""
    parts = name.removeprefix("backhaul.").split(".")
    return parts[0]
