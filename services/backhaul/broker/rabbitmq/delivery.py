"""Messages that have arrived, and what we say of them."""

import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Protocol

from pamqp.commands import Basic
from pamqp.header import ContentHeader

from backhaul.broker.rabbitmq.frames import ack_frame, delivery_tag, requeue_frame, short_text
from backhaul.broker.rabbitmq.wire import Wire

_UNREADABLE = (ValueError, KeyError, IndexError, OverflowError, OSError, struct.error)


class Settlements:
    """What is said of the deliveries of one channel: collected, and sent as few frames in one write.

    Tags count from 1 on each channel, so all of this belongs to one channel and ends with it.
    """

    def __init__(self, wire: Wire, channel: int, on_empty: Callable[[], None] | None = None) -> None:
        self._wire = wire
        self._channel = channel
        self._on_empty = on_empty
        self._out: dict[int, None] = {}
        self._acked: set[int] = set()
        self._requeued: list[int] = []
        self._over = False

    def __len__(self) -> int:
        """How many deliveries are out."""
        return len(self._out)

    def deliver(self, tag: int) -> None:
        self._out[tag] = None

    def ack(self, tag: int) -> None:
        if not self._over:
            self._schedule()
            self._acked.add(tag)

    def requeue(self, tag: int) -> None:
        if not self._over:
            self._schedule()
            self._requeued.append(tag)

    def end(self) -> None:
        """The channel is gone: the broker delivers again what was out."""
        self._over = True
        self._out.clear()

    def _schedule(self) -> None:
        if not self._acked and not self._requeued:
            self._wire.send(self._frames)

    def _frames(self) -> bytes:
        if self._over:
            return b""
        frames = [requeue_frame(self._channel, tag) for tag in self._requeued]
        for tag in self._requeued:
            self._out.pop(tag, None)
        # One frame may acknowledge all deliveries up to a tag, but only if nothing among them is still held.
        # What was requeued goes first, so that it is not acknowledged with them.
        through = 0
        for tag in self._out:
            if tag not in self._acked:
                break
            through = tag
        if through:
            frames.append(ack_frame(self._channel, through, multiple=True))
        for tag in self._acked:
            self._out.pop(tag, None)
            if tag > through:
                frames.append(ack_frame(self._channel, tag, multiple=False))
        self._requeued.clear()
        self._acked.clear()
        if not self._out and self._on_empty is not None:
            self._on_empty()
        return b"".join(frames)


class Settler(Protocol):
    """Takes what is said of a delivery, by its tag."""

    def ack(self, tag: int) -> None: ...
    def requeue(self, tag: int) -> None: ...


class RabbitDelivery:
    """A delivery whose properties are decoded when they are asked for: most are never looked at."""

    __slots__ = ("_arguments", "_decoded", "_header", "_settled", "_settlements", "_start", "_tag", "body")

    def __init__(self, settlements: Settler, arguments: bytes, start: int, header: bytes, body: bytes) -> None:
        self.body = body
        self._settlements = settlements
        self._arguments = arguments
        self._start = start
        """Where in the arguments delivery tag, redelivered, exchange and routing key begin."""
        self._header = header
        self._tag: int = delivery_tag(arguments, start)[0]
        self._settled = False
        self._decoded: Basic.Properties | None = None

    @property
    def tag(self) -> int:
        """The delivery tag: valid on its own channel only."""
        return self._tag

    @property
    def content_type(self) -> str | None:
        return self._properties.content_type

    @property
    def exchange(self) -> str:
        return short_text(self._arguments, self._start + 9)[0]

    @property
    def routing_key(self) -> str:
        _, end = short_text(self._arguments, self._start + 9)
        return short_text(self._arguments, end)[0]

    @property
    def message_id(self) -> str | None:
        return self._properties.message_id

    @property
    def correlation_id(self) -> str | None:
        return self._properties.correlation_id

    @property
    def reply_to(self) -> str | None:
        return self._properties.reply_to

    @property
    def user_id(self) -> str | None:
        return self._properties.user_id

    @property
    def priority(self) -> int | None:
        return self._properties.priority

    @property
    def expiration(self) -> timedelta | None:
        return parse_expiration(self._properties.expiration)

    @property
    def headers(self) -> Mapping[str, Any]:
        return self._properties.headers or {}

    @property
    def content_encoding(self) -> str | None:
        return self._properties.content_encoding

    @property
    def timestamp(self) -> datetime | None:
        return self._properties.timestamp

    @property
    def type(self) -> str | None:
        return self._properties.message_type

    @property
    def app_id(self) -> str | None:
        return self._properties.app_id

    @property
    def redelivered(self) -> bool:
        return bool(self._arguments[self._start + 8])

    def ack(self) -> None:
        if not self._settled:
            self._settled = True
            self._settlements.ack(self._tag)

    def requeue(self) -> None:
        if not self._settled:
            self._settled = True
            self._settlements.requeue(self._tag)

    @property
    def _properties(self) -> Basic.Properties:
        if self._decoded is None:
            self._decoded = decoded(self._header)
        return self._decoded


def decoded(header: bytes) -> Basic.Properties:
    """The properties in the payload of a header frame.

    Foreign producers may send what pamqp cannot decode: what stands before it is given, and nothing else.
    """
    content = ContentHeader()
    with suppress(*_UNREADABLE):
        content.unmarshal(header)
    return content.properties


def parse_expiration(milliseconds: str | None) -> timedelta | None:
    """The `expiration` property, a number of milliseconds in a text, as a length of time."""
    if milliseconds is None or not milliseconds.isdecimal():
        return None
    return timedelta(milliseconds=int(milliseconds))
