"""The Broker port on RabbitMQ: one connection to publish, one to consume, both restored when they are lost."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from yarl import URL

from backhaul.broker.rabbitmq import topology as objects
from backhaul.broker.rabbitmq.consumer import Consumer
from backhaul.broker.rabbitmq.errors import NOT_FOUND, ChannelLost, Refusal
from backhaul.broker.rabbitmq.link import Link
from backhaul.broker.rabbitmq.listing import take
from backhaul.broker.rabbitmq.publisher import Publisher
from backhaul.broker.rabbitmq.session import Session
from backhaul.core.errors import BackhaulError, BrokerUnavailable, ConfigurationError
from backhaul.core.ports.broker import Delivery, Message, Subscription
from backhaul.core.topology import Misfit, Topology

if TYPE_CHECKING:
    from backhaul.broker.rabbitmq.subscriber import Subscriber

HEARTBEAT = timedelta(seconds=5)
PUBLISH_TIMEOUT = timedelta(seconds=10)
START_TIMEOUT = timedelta(seconds=10)
_STOP_TIMEOUT = 5.0

log = logging.getLogger(__name__)


class RabbitBroker:
    """The `Broker` port on RabbitMQ 3.10 … 4.x.

    `name` is what RabbitMQ's management UI shows; `publish_timeout` is how long a publish waits for its confirms, and
    `start_timeout` how long `start` tries.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        publish_timeout: timedelta = PUBLISH_TIMEOUT,
        start_timeout: timedelta = START_TIMEOUT,
        heartbeat: timedelta = HEARTBEAT,
    ) -> None:
        self._url = URL(url)
        self._name = name
        self._heartbeat = heartbeat
        self._start_timeout = start_timeout.total_seconds()
        self._changed = asyncio.Event()
        self._publishing, self._consuming = (
            Link(self._url, name=f"{name} ({purpose})", heartbeat=heartbeat, on_change=self._change)
            for purpose in ("publish", "consume")
        )
        self._publisher = Publisher(self._publishing, timeout=publish_timeout)
        self._consumers: list[Consumer | Subscriber] = []
        self._owned: dict[str, Topology] = {}
        self._callbacks: list[Callable[[], None]] = []
        self._first: asyncio.Future[Refusal | None] | None = None
        self._started = False
        self._group: asyncio.TaskGroup | None = None
        self._runner: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        return self._publisher.ready.is_set() and self._consuming.up and self._publishing.blocked is None

    async def start(self, *, required: bool = True) -> None:
        if self._runner is not None:
            return
        first = self._first = asyncio.get_running_loop().create_future()
        self._runner = asyncio.create_task(self._run(), name=f"{self._name}: RabbitMQ")
        self._runner.add_done_callback(_log_failure)
        try:
            failure = await self._begin(first, required=required)
        except asyncio.CancelledError:
            await self.stop()
            raise
        if failure is not None:
            await self.stop()
            raise failure
        self._started = True

    async def stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_TIMEOUT):
                await asyncio.gather(*(consumer.cancel() for consumer in self._consumers))
        self._consumers.clear()
        self._started = False
        runner.cancel()
        await asyncio.wait((runner,))

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    async def declare(self, topology: Topology) -> None:
        self._owned.update(_owned(topology))
        with _explained(self._consuming):
            await objects.declare(self._consuming.current(), topology)

    async def check(self, topology: Topology) -> list[Misfit]:
        with _explained(self._consuming):
            return await objects.check(self._consuming.current(), topology)

    async def publish(self, messages: Sequence[Message]) -> None:
        if self._publishing.blocked is not None:
            raise BrokerUnavailable(
                f"{self._publishing.broker} takes no messages now ({self._publishing.blocked}): free memory or disk"
            )
        await self._publisher.publish(messages)

    async def consume(
        self,
        queue: str,
        on_delivery: Callable[[Delivery], None],
        *,
        credit: int,
        on_lost: Callable[[], None] | None = None,
    ) -> Subscription:
        consumer = Consumer(
            self._consuming, queue, on_delivery, credit=credit, on_lost=on_lost, prepare=self._declare_owned
        )
        return await self._add(consumer)

    async def subscribe(
        self, queue: str, handle: Callable[[Delivery], Awaitable[None]], *, credit: int
    ) -> Subscription:
        from backhaul.broker.rabbitmq.subscriber import Subscriber  # FastStream is paid for by who needs it

        options = {"name": f"{self._name} (subscribe {queue})", "heartbeat": str(int(self._heartbeat.total_seconds()))}
        url = self._url.update_query(options)
        return await self._add(Subscriber(url, queue, handle, credit=credit, spawn=self._spawn))

    async def get(self, queue: str, limit: int) -> list[Delivery]:
        with _explained(self._consuming, queue):
            return list(await take(self._consuming.current(), queue, limit))

    async def ready(self, queue: str) -> int | None:
        with _explained(self._consuming):
            return await objects.ready(self._consuming.current(), queue)

    async def _add(self, consumer: "Consumer | Subscriber") -> Subscription:
        self._consumers = [known for known in self._consumers if not known.cancelled] + [consumer]
        self._spawn(consumer.run())
        if (session := self._consuming.now) is not None:
            await _unless_lost(session, consumer.tried())
        return consumer

    def _spawn(self, loop: Coroutine[Any, Any, None]) -> None:
        if self._group is not None:
            self._group.create_task(loop)
        else:
            loop.close()  # before `start`: it begins then

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as self._group:
                for link in (self._publishing, self._consuming):
                    self._group.create_task(link.run())
                self._group.create_task(self._publisher.run())
                for consumer in self._consumers:
                    self._group.create_task(consumer.run())
                await self._announce()
        finally:
            self._group = None

    async def _begin(self, first: "asyncio.Future[Refusal | None]", *, required: bool) -> BrokerUnavailable | None:
        try:
            async with asyncio.timeout(self._start_timeout):
                if not required:
                    await self._tried(first)
                elif (refusal := await first) is not None:
                    return refusal.error()
        except TimeoutError:
            return BrokerUnavailable(self._complaint()) if required else None
        return None

    async def _announce(self) -> None:
        """Tell, each time anew, that the broker is there with all that was declared and consumed."""
        while True:
            sessions = await self._whole()
            if self._first is not None and not self._first.done():
                self._first.set_result(None)
            if self._started:
                for callback in self._callbacks:
                    callback()
            while self.connected and sessions == self._sessions():
                await self._next_change()

    async def _whole(self) -> tuple[Session, Session]:
        while True:
            publishing, consuming = await self._publishing.session(), await self._consuming.session()
            await _unless_lost(publishing, self._publisher.ready.wait())
            await self._restore_unheard(consuming)
            for consumer in self._consumers:
                await _unless_lost(consuming, consumer.tried())
            if self.connected and (publishing, consuming) == self._sessions():
                return publishing, consuming
            await self._next_change()

    def _sessions(self) -> tuple[Session | None, Session | None]:
        return self._publishing.now, self._consuming.now

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _change(self) -> None:
        self._changed.set()
        refusal = self._publishing.refusal or self._consuming.refusal
        if refusal is not None and refusal.final and self._first is not None and not self._first.done():
            self._first.set_result(refusal)

    async def _tried(self, first: "asyncio.Future[Refusal | None]") -> None:
        """Wait for the first try of both connections; if it succeeds, also for the rest."""
        await asyncio.gather(self._publishing.tried.wait(), self._consuming.tried.wait())
        if self._publishing.up and self._consuming.up:
            await first

    def _complaint(self) -> str:
        return self._consuming.complaint if self._publishing.up else self._publishing.complaint

    async def _declare_owned(self, queue: str) -> None:
        if queue in self._owned:
            await objects.declare(self._consuming.current(), self._owned[queue])

    async def _restore_unheard(self, session: Session) -> None:
        """Owned queues that are consumed are declared by their consumers."""
        heard = {consumer.queue for consumer in self._consumers}
        for queue in self._owned.keys() - heard:
            try:
                await objects.declare(session, self._owned[queue])
            except (BackhaulError, ChannelLost, TimeoutError) as error:
                log.warning("queue %s could not be declared again: %s", queue, error)


async def _unless_lost(session: Session, condition: Awaitable[object]) -> None:
    waiting = asyncio.ensure_future(condition)
    try:
        await asyncio.wait((waiting, session.lost), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


@contextmanager
def _explained(link: Link, queue: str | None = None) -> Iterator[None]:
    try:
        yield
    except ChannelLost as error:
        if error.code == NOT_FOUND and queue is not None:
            raise ConfigurationError(f"queue {queue} does not exist: run `backhaul topology apply`") from error
        if error.code is not None:
            raise ConfigurationError(f"{link.broker} refuses: {error}") from error
        raise BrokerUnavailable(f"{link.broker} was lost meanwhile ({error}): try again") from error
    except TimeoutError as error:
        raise BrokerUnavailable(f"{link.broker} does not answer: look at its log, then try again") from error


def _owned(topology: Topology) -> dict[str, Topology]:
    return {
        queue.name: Topology(
            queues=(queue,), bindings=tuple(binding for binding in topology.bindings if binding.queue == queue.name)
        )
        for queue in topology.queues
        if queue.owned
    }


def _log_failure(runner: "asyncio.Task[None]") -> None:
    if not runner.cancelled() and (error := runner.exception()) is not None:
        log.critical("the connection to RabbitMQ is no longer supervised", exc_info=error)
