"""The Broker port on RabbitMQ."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from yarl import URL

from backhaul.broker.rabbitmq import topology as objects
from backhaul.broker.rabbitmq.consumer import Consumer
from backhaul.broker.rabbitmq.errors import ACCESS_REFUSED, NOT_FOUND, ChannelLost
from backhaul.broker.rabbitmq.link import Link
from backhaul.broker.rabbitmq.listing import take
from backhaul.broker.rabbitmq.looking import PATIENCE, looking
from backhaul.broker.rabbitmq.session import RefusedError, Session
from backhaul.broker.rabbitmq.supervision import Supervisor
from backhaul.core.errors import BrokerUnavailable, ConfigurationError
from backhaul.core.messages.topology import Binding, Misfit, Topology
from backhaul.core.ports.broker import Delivery, Look, Message, Subscription

if TYPE_CHECKING:
    from backhaul.broker.rabbitmq.subscriber import Subscriber

HEARTBEAT = timedelta(seconds=5)
PUBLISH_TIMEOUT = timedelta(seconds=10)
START_TIMEOUT = timedelta(seconds=10)
_STOP_TIMEOUT = 5.0

log = logging.getLogger(__name__)


class RabbitBroker:
    """The `Broker` port on RabbitMQ 3.10 … 4.x.

    `name` is what RabbitMQ's management UI shows; `publish_timeout` is how long a publish waits for its confirms,
    `start_timeout` how long `start` tries, and a broker that is not heard for two heartbeats is given up. `feels` is an
    exchange to which the user may write, by which an idle process feels whether the broker takes messages.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        publish_timeout: timedelta = PUBLISH_TIMEOUT,
        start_timeout: timedelta = START_TIMEOUT,
        heartbeat: timedelta = HEARTBEAT,
        feels: str = "",
    ) -> None:
        self._url = _amqp(url)
        self._name = name
        self._publish_timeout = publish_timeout
        self._start_timeout = start_timeout
        self._heartbeat = heartbeat
        self._feels = feels
        self._running: asyncio.Task[None] | None = None
        self._supervisor = self._supervise()
        self._looks = asyncio.Lock()

    @property
    def connected(self) -> bool:
        return self._supervisor.whole

    @property
    def blocked(self) -> str | None:
        return self._supervisor.blocked

    @property
    def refuses(self) -> str | None:
        return self._supervisor.refuses

    @property
    def reconnects(self) -> int:
        return self._supervisor.reconnects

    async def start(self, *, required: bool = True, patient: bool = False) -> None:
        if self._running is not None:
            return
        self._running = asyncio.create_task(self._supervisor.run(), name=f"{self._name}: RabbitMQ")
        self._running.add_done_callback(_log_failure)
        try:
            failure = await self._supervisor.begin(self._start_timeout, required=required, patient=patient)
        except asyncio.CancelledError:
            await self.stop()
            raise
        if failure is not None:
            await self.stop()
            raise failure
        self._supervisor.started = True

    async def stop(self) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        stopped, self._supervisor = self._supervisor, self._supervise()
        self._supervisor.callbacks = stopped.callbacks
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_TIMEOUT):
                await asyncio.gather(*(consumer.cancel() for consumer in stopped.consumers))
        running.cancel()
        if (await asyncio.wait((running,), timeout=2 * _STOP_TIMEOUT))[1]:
            log.warning("%s was not let go of in time", self._name)

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        self._supervisor.callbacks.append(callback)

    async def declare(self, topology: Topology) -> None:
        self._supervisor.owned.update(_owned(topology))
        with _explained(self._supervisor.consuming):
            await objects.declare(self._supervisor.consuming.current(), topology)

    async def check(self, topology: Topology) -> list[Misfit]:
        async with AsyncExitStack() as visits:
            with _explained(self._supervisor.consuming):
                session = await self._visit(visits)
                misfits = await objects.check(session, topology)
                for queue in topology.queues:
                    if session.lost.done():
                        session = await self._visit(visits)
                    try:
                        misfits += filter(None, [await objects.answers(session, queue)])
                    except ChannelLost as error:
                        if error.code != ACCESS_REFUSED:
                            raise
                        break  # ledgers may read them all; RabbitMQ logs each refusal as an error
            return misfits

    async def unbind(self, bindings: Sequence[Binding]) -> None:
        with _explained(self._supervisor.consuming):
            await objects.unbind(self._supervisor.consuming.current(), bindings)

    async def delete(self, queue: str) -> None:
        with _explained(self._supervisor.consuming):
            await objects.delete(self._supervisor.consuming.current(), queue)

    async def publish(self, messages: Sequence[Message]) -> None:
        await self._supervisor.publisher.publish(messages)

    async def consume(
        self,
        queue: str,
        on_delivery: Callable[[Delivery], None],
        *,
        credit: int,
        on_lost: Callable[[], None] | None = None,
    ) -> Subscription:
        consumer = Consumer(
            self._supervisor.consuming,
            queue,
            on_delivery,
            credit=credit,
            on_lost=on_lost,
            prepare=self._supervisor.declare_owned,
        )
        await self._supervisor.add(consumer)
        return consumer

    async def subscribe(
        self, queue: str, handle: Callable[[Delivery], Awaitable[None]], *, credit: int
    ) -> Subscription:
        subscriber_type = await asyncio.to_thread(_subscriber_type)
        options = {"name": f"{self._name} (subscribe {queue})", "heartbeat": str(int(self._heartbeat.total_seconds()))}
        url = self._url.update_query(options)
        subscriber = subscriber_type(url, queue, handle, credit=credit, spawn=self._supervisor.spawn)
        await self._supervisor.add(subscriber)
        return subscriber

    async def get(self, queue: str, limit: int) -> list[Delivery]:
        with _explained(self._supervisor.consuming, queue):
            return list(await take(self._supervisor.consuming.current(), queue, limit))

    @asynccontextmanager
    async def look(
        self, queue: str, want: Callable[[Delivery], bool], *, most: int, heaviest: int
    ) -> AsyncIterator[Look]:
        self._supervisor.consuming.current()
        async with self._turn_to_look(queue), self._visiting("look") as session:
            with _explained(self._supervisor.consuming, queue):
                async with looking(session, queue, want, most, heaviest) as look:
                    yield look

    async def ready(self, queue: str) -> int | None:
        with _explained(self._supervisor.consuming):
            return await objects.ready(self._supervisor.consuming.current(), queue)

    async def readers(self, queue: str) -> int | None:
        with _explained(self._supervisor.consuming):
            return await objects.readers(self._supervisor.consuming.current(), queue)

    @asynccontextmanager
    async def _turn_to_look(self, queue: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._looks.acquire()
        except TimeoutError:
            raise BrokerUnavailable(f"others look through {queue} at this moment: try again") from None
        try:
            yield
        finally:
            self._looks.release()

    @asynccontextmanager
    async def _visiting(self, purpose: str) -> AsyncIterator[Session]:
        """A connection for one purpose. It is closed in order, or dropped at once if anything fails."""
        with _explained(self._supervisor.consuming):
            async with asyncio.timeout(PATIENCE):
                session = await self._connect(purpose)
        try:
            yield session
        except BaseException:
            session.wire.abort()
            raise
        finally:
            await session.close()

    async def _visit(self, visits: AsyncExitStack) -> Session:
        """A connection for a look around, which the look may cost; closed with `visits`."""
        session = await self._connect("check")
        visits.push_async_callback(session.close)
        return session

    async def _connect(self, purpose: str) -> Session:
        try:
            return await Session.open(self._url, name=f"{self._name} ({purpose})", heartbeat=self._heartbeat)
        except RefusedError as error:
            raise error.refusal.error() from error

    def _supervise(self) -> Supervisor:
        return Supervisor(
            self._url,
            name=self._name,
            heartbeat=self._heartbeat,
            publish_timeout=self._publish_timeout,
            feels=self._feels,
        )


def _amqp(url: str) -> URL:
    try:
        parsed = URL(url)
    except ValueError:
        parsed = URL()
    if parsed.scheme not in ("amqp", "amqps") or not parsed.host:
        raise ConfigurationError(
            "the URL of RabbitMQ is not one: write BACKHAUL_AMQP_URL as amqp://user:password@host/vhost"
        )
    return parsed


def _subscriber_type() -> "type[Subscriber]":
    """FastStream takes long to import: that is paid by who subscribes, and outside the event loop."""
    from backhaul.broker.rabbitmq.subscriber import Subscriber

    return Subscriber


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


def _log_failure(running: "asyncio.Task[None]") -> None:
    if not running.cancelled() and (error := running.exception()) is not None:
        log.critical("the connection to RabbitMQ is no longer supervised", exc_info=error)
