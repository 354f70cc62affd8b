"""Consuming: one channel for each consumer, opened again whenever it ends."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count

from pamqp.commands import Basic

from backhaul.broker.rabbitmq.channel import Channel
from backhaul.broker.rabbitmq.delivery import RabbitDelivery, Settlements
from backhaul.broker.rabbitmq.errors import ACCESS_REFUSED, ChannelLost
from backhaul.broker.rabbitmq.link import Backoff, Link
from backhaul.broker.rabbitmq.session import Session
from backhaul.core.complaints import Complaints
from backhaul.core.errors import BackhaulError
from backhaul.core.ports.broker import Delivery

MOST_CREDIT = 65_535

log = logging.getLogger(__name__)


class Attachment:
    """A consumer on one channel, until that channel ends: then its deliveries are void, and it is never used again."""

    def __init__(
        self,
        session: Session,
        queue: str,
        on_delivery: Callable[[Delivery], None],
        on_end: "Callable[[Attachment, str, int | None], None]",
    ) -> None:
        self._session = session
        self._queue = queue
        self._on_delivery = on_delivery
        self._on_end = on_end
        self._channel: Channel | None = None
        self._settlements: Settlements | None = None
        self._names = (f"{queue}.{number}" for number in count(1))
        self._name = ""
        self._leaving = False
        self.used = False
        """Whether there may be deliveries that came by it."""

    async def open(self) -> None:
        self._channel = channel = await self._session.channel(self)
        self._settlements = Settlements(self._session.wire, channel.number, self._emptied)

    async def consume(self, credit: int) -> None:
        """Hear the queue with this credit; with none, do not hear it (0 would mean: without limit)."""
        if credit > 0 and self._channel is not None:
            # A name of its own each time: under the old one a quorum queue would go on counting what is still held.
            self._name = next(self._names)
            await self._channel.call(
                Basic.Qos(prefetch_count=min(credit, MOST_CREDIT)),
                Basic.Consume(queue=self._queue, consumer_tag=self._name),
            )
        self.used = True

    async def pause(self) -> None:
        """Return when no more deliveries can come."""
        if self._name and self._channel is not None:
            name, self._name = self._name, ""
            await self._channel.call(Basic.Cancel(consumer_tag=name))

    async def leave(self) -> None:
        """Stop consuming, and let the channel go when nothing that came by it is held any more."""
        await self.pause()
        self._leaving = True
        self._emptied()

    def close(self, reason: str, code: int | None = None) -> None:
        """Let the channel go now."""
        if self._channel is not None:
            self._channel.close()
        self._end(reason, code)

    def _emptied(self) -> None:
        if self._leaving and self._channel is not None and not self._settlements:
            self._channel.close()
            self._channel = None

    def on_content(self, method: int, arguments: bytes, header: bytes, body: bytes) -> None:
        if self._settlements is None:
            return
        self.used = True
        delivery = RabbitDelivery(self._settlements, arguments, 1 + arguments[0], header, body)
        self._settlements.deliver(delivery.tag)
        try:
            self._on_delivery(delivery)
        except Exception:  # a fault of one consumer must not end the connection of all
            log.exception("a delivery from %s was not taken: it goes back to the queue", self._queue)
            delivery.requeue()

    def on_confirm(self, tag: int, *, multiple: bool, taken: bool) -> None:
        """Nothing is published on this channel."""

    def on_cancelled(self) -> None:
        self.close("RabbitMQ cancelled the consumer: the queue was deleted, or its node is gone")

    def on_lost(self, error: ChannelLost) -> None:
        self._end(str(error), error.code)

    def _end(self, reason: str, code: int | None) -> None:
        self._channel = None
        if self._settlements is not None:
            self._settlements.end()
        self._on_end(self, reason, code)


class Consumer:
    """A `Subscription` to one queue. `run` must be running until `cancel` has returned."""

    def __init__(
        self,
        link: Link,
        queue: str,
        on_delivery: Callable[[Delivery], None],
        *,
        credit: int,
        on_lost: Callable[[], None] | None,
        prepare: Callable[[str], Awaitable[None]],
    ) -> None:
        self.queue = queue
        self._link = link
        self._on_delivery = on_delivery
        self._credit = credit
        self._on_lost = on_lost
        self._prepare = prepare
        self._lock = asyncio.Lock()
        self._attachment: Attachment | None = None
        self._ended = asyncio.Event()
        self._tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.cancelled = False
        self.refused = False
        self._complaints = Complaints(log, logging.WARNING)

    async def run(self) -> None:
        """Consume until cancelled."""
        self._task = asyncio.current_task()
        pause = Backoff()
        while not self.cancelled:
            session = await self._link.session()
            pause.tried()
            self._ended.clear()
            await self._attach(session)
            self._tried.set()
            await self._ended.wait()
            self._tried.clear()
            if not session.lost.done():
                await pause.wait()

    async def tried(self) -> None:
        """Return when the consumer is in place, or could not be put there."""
        await self._tried.wait()

    async def resize(self, free: Callable[[], int]) -> None:
        async with self._lock:
            if self._attachment is None or self.cancelled:
                self._credit = free()
                return
            attachment = self._attachment
            with self._usable(attachment):
                await attachment.pause()
            self._credit = free()
            with self._usable(attachment):
                await attachment.consume(self._credit)

    async def cancel(self) -> None:
        self.cancelled = True
        async with self._lock:
            if self._attachment is not None:
                with self._usable(self._attachment):
                    await self._attachment.leave()
        self._tried.set()
        if self._task is not None:
            self._task.cancel()

    async def _attach(self, session: Session) -> None:
        async with self._lock:
            attachment = Attachment(session, self.queue, self._on_delivery, self._end)
            self._attachment = attachment
            with self._usable(attachment):
                await self._prepare(self.queue)
                await attachment.open()
                await attachment.consume(self._credit)
                self.refused = False
                self._complaints.settle(f"consuming {self.queue}")

    @contextmanager
    def _usable(self, attachment: Attachment) -> Iterator[None]:
        """A failure in here ends the attachment: `run` makes another one."""
        try:
            yield
        except (BackhaulError, ChannelLost, TimeoutError) as error:
            attachment.close(str(error) or "RabbitMQ does not answer", getattr(error, "code", None))
        except asyncio.CancelledError:  # nobody knows whether the broker has still done it
            attachment.close("it was cancelled while it changed")
            raise

    def _end(self, attachment: Attachment, reason: str, code: int | None) -> None:
        if attachment is not self._attachment:
            return
        self._attachment = None
        self.refused = code == ACCESS_REFUSED
        if self._link.up:
            remedy = ": `rabbitmqctl set_permissions`, with the patterns of docs/production.md" if self.refused else ""
            self._complaints.say(f"consuming {self.queue}", f"consuming {self.queue} is interrupted: {reason}{remedy}")
        self._ended.set()
        if attachment.used and self._on_lost is not None:
            try:
                self._on_lost()
            except Exception:  # others hear of the same loss after this one
                log.exception("the loss of %s was not taken", self.queue)
