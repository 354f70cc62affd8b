"""Publishing: batches are written at once and confirmed together, several of them under way at a time."""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from backhaul.broker.rabbitmq.channel import Channel
from backhaul.broker.rabbitmq.delivery import decoded
from backhaul.broker.rabbitmq.errors import ACCESS_REFUSED, NOT_FOUND, ChannelLost
from backhaul.broker.rabbitmq.frames import publish_frames, short_text
from backhaul.broker.rabbitmq.link import Backoff, Link
from backhaul.broker.rabbitmq.session import Session
from backhaul.core.complaints import Complaints
from backhaul.core.errors import BrokerUnavailable, Refused, Unroutable
from backhaul.core.messages.permissions import DEFAULT_EXCHANGE
from backhaul.core.ports.broker import Message

_FEEL = 1.0
_NOWHERE = "backhaul.nowhere"
_NAMED = re.compile(r"exchange '([^']*)'")
_LATELY = 30.0
"""For so many seconds a refused publish is news: who may publish there again may have nothing to say."""

log = logging.getLogger(__name__)


class Batch:
    """The messages of one call, numbered from `first` by the broker, and how many of them are not yet confirmed."""

    __slots__ = ("done", "first", "messages", "missing", "refused", "returned")

    def __init__(self, messages: Sequence[Message], first: int, done: "asyncio.Future[None]") -> None:
        self.messages = messages
        self.first = first
        self.missing = len(messages)
        self.returned: dict[int, str] = {}
        self.refused = False
        self.done = done

    def confirm(self, *, taken: bool) -> None:
        self.missing -= 1
        self.refused = self.refused or not taken
        if not self.missing and not self.done.done():
            self._finish()

    def _finish(self) -> None:
        if self.refused:
            self.fail(Refused("RabbitMQ refused a message: see its log, then publish again"))
        elif self.returned:
            self.fail(Unroutable(tuple(self.returned.values())))
        else:
            self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class Publisher:
    """One channel in confirm mode, opened again whenever it ends. `run` must be running.

    RabbitMQ tells of an alarm only those who publish. So whoever has published nothing for a second feels whether it
    could: else a ledger that is idle because its workers are blocked would take their silence for their death.
    """

    def __init__(self, link: Link, *, timeout: timedelta, on_ready: Callable[[], None], feels: str = "") -> None:
        """`feels`: the exchange by which it does so."""
        self.ready = asyncio.Event()
        """Set while there is a channel to publish on."""
        self._decided = asyncio.Event()
        """Clear only while the connection is there and its channel is being opened: then a publish waits."""
        self._backoff = Backoff()
        self._link = link
        self._on_ready = on_ready
        self._timeout = timeout.total_seconds()
        self._session: Session | None = None
        self._channel: Channel | None = None
        self._ended = asyncio.Event()
        self._number = 0
        self._pending: dict[int, Batch] = {}
        self._confirmed = 0
        self._feels = True
        self._feeling = feels or DEFAULT_EXCHANGE
        self._complaints = Complaints(log)
        self._refused: dict[str, float] = {}
        """When publishing to an exchange was refused last, by its name."""
        self._standing: set[str] = set()
        """The exchanges of which it was said that publishing to them does not work."""
        # It reaches nobody, and is confirmed if the broker takes messages at all.
        self._feeler = Message(
            exchange=feels, routing_key=_NOWHERE, body=b"", content_type="", persistent=False, mandatory=False
        )

    @property
    def refused(self) -> list[str]:
        """The exchanges to which this user may not publish, as far as was tried of late."""
        since = asyncio.get_running_loop().time() - _LATELY
        return sorted(name for name, at in self._refused.items() if at > since)

    async def run(self) -> None:
        """Keep a channel open for as long as this runs."""
        while True:
            session = await self._link.session()
            self._backoff.tried()
            if await self._open(session):
                await self._attend()
            if not session.lost.done():
                await self._backoff.wait()

    async def _attend(self) -> None:
        """Return when the channel has ended."""
        published = self._number
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FEEL):
                    await self._ended.wait()
                    return
            if published == self._number and not self._pending and self._feels:
                self._feel()
            published = self._number

    def _feel(self) -> None:
        if self._session is not None and self._channel is not None and self._channel.error is None:
            batch = self._send(self._session, self._channel, (self._feeler,))
            batch.done.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def publish(self, messages: Sequence[Message]) -> None:
        """See `Broker.publish`."""
        if not messages:
            return
        if self._link.now is None or self._link.blocked is not None:
            raise BrokerUnavailable(self._link.complaint)
        try:
            async with asyncio.timeout(self._timeout):
                await self._decided.wait()
                session, channel = self._open_channel()
                await session.drain()
                await self._send(session, channel, messages).done
                if self._standing:
                    self._settle(messages)
        except TimeoutError:
            raise BrokerUnavailable(
                f"{self._link.broker} has not confirmed {len(messages)} messages within {self._timeout:g} s: "
                "publish them again as they were"
            ) from None
        except ConnectionError:
            raise BrokerUnavailable(self._link.complaint) from None

    def _open_channel(self) -> tuple[Session, Channel]:
        if self._session is None or self._channel is None:
            raise BrokerUnavailable(self._link.complaint)
        return self._session, self._channel

    def _send(self, session: Session, channel: Channel, messages: Sequence[Message]) -> Batch:
        if channel.error is not None:
            raise BrokerUnavailable(f"{self._link.broker} closed the channel: publish again")
        frames = b"".join([publish_frames(channel.number, message, session.frame_max) for message in messages])
        batch = Batch(messages, self._number + 1, asyncio.get_running_loop().create_future())
        for _ in messages:
            self._number += 1
            self._pending[self._number] = batch
        session.wire.send(frames)
        return batch

    async def _open(self, session: Session) -> bool:
        self._number = self._confirmed = 0
        self._ended.clear()
        self._decided.clear()
        try:
            self._channel = await session.channel(self, confirms=True)
        except (ChannelLost, TimeoutError) as error:
            log.warning("%s gave no channel to publish on: %s", self._link.broker, error)
            return False
        else:
            self._session = session
            self.ready.set()
            self._on_ready()
            return True
        finally:
            self._decided.set()

    def on_confirm(self, tag: int, *, multiple: bool, taken: bool) -> None:
        if not multiple:
            batch = self._pending.pop(tag, None)
            if batch is not None:
                batch.confirm(taken=taken)
            return
        for number in range(self._confirmed + 1, tag + 1):
            batch = self._pending.pop(number, None)
            if batch is not None:
                batch.confirm(taken=taken)
        self._confirmed = tag

    def on_content(self, method: int, arguments: bytes, header: bytes, body: bytes) -> None:
        """A mandatory message comes back, before its confirm."""
        exchange, at = short_text(arguments, short_text(arguments, 2)[1])
        routing_key, _ = short_text(arguments, at)
        message_id = decoded(header).message_id
        # The broker does not say which publish it returns, but returns them in order: so it is the first one
        # that looks the same and is not known to have arrived.
        for number, batch in self._pending.items():
            message = batch.messages[number - batch.first]
            if (
                number not in batch.returned
                and message.mandatory
                and message.routing_key == routing_key
                and message.exchange == exchange
                and message.message_id == message_id
                and message.body == body
            ):
                batch.returned[number] = _destination(message)
                return

    def on_cancelled(self) -> None:
        """There is no consumer on this channel."""

    def on_lost(self, error: ChannelLost) -> None:
        self.ready.clear()
        if error.code is not None:
            self._decided.clear()
            self._complain(error)
        self._channel = self._session = None
        self._ended.set()
        pending, self._pending = self._pending, {}
        for batch in dict.fromkeys(pending.values()):
            batch.fail(_explained(error, batch, self._link.broker))

    def _complain(self, error: ChannelLost) -> None:
        """Once, however often it is tried again."""
        named = _NAMED.search(error.text)
        exchange = named[1] if named is not None else ""
        if error.code == ACCESS_REFUSED:
            self._refused[exchange] = asyncio.get_running_loop().time()
            self._feels = self._feels and exchange != self._feeling
        remedy = _REMEDIES.get(error.code or 0)
        if remedy is None or not exchange:
            log.warning("%s closed the channel to publish on: %s", self._link.broker, error)
            return
        self._standing.add(exchange)
        self._complaints.say(_thing(exchange), f"{self._link.broker} refuses what is published ({error}): {remedy}")

    def _settle(self, messages: Sequence[Message]) -> None:
        for exchange in self._standing & {message.exchange or DEFAULT_EXCHANGE for message in messages}:
            self._standing.discard(exchange)
            self._refused.pop(exchange, None)
            self._feels = self._feels or exchange == self._feeling
            self._complaints.settle(_thing(exchange))


_REMEDIES = {
    ACCESS_REFUSED: "`rabbitmqctl set_permissions`, with the patterns of docs/production.md",
    NOT_FOUND: "run `backhaul topology apply`",
}


def _thing(exchange: str) -> str:
    return f"publishing to {exchange}"


def _explained(error: ChannelLost, batch: Batch, broker: str) -> Exception:
    if error.code == NOT_FOUND:
        missing = [m for m in batch.messages if m.exchange and f"'{m.exchange}'" in error.text]
        if missing:
            return Unroutable([_destination(message) for message in missing])
    return BrokerUnavailable(f"{broker} was lost while publishing ({error}): publish again")


def _destination(message: Message) -> str:
    return f"{message.exchange or 'the default exchange'} with key {message.routing_key!r}"
