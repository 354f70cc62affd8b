"""Keeping one unreadable message of a foreign producer from ending the connection of all.

aiormq gives up its connection when it cannot decode a frame. AMQP promises no encoding of texts, and RabbitMQ passes on
what it is given: a message id in Latin-1 or a timestamp in nanoseconds would then come again with every new connection.
What cannot be decoded is therefore replaced before aiormq sees it: the message arrives with its body and no properties.
"""

import asyncio
import struct
from typing import Any

from aio_pika import RobustConnection
from aiormq.connection import TransportFactory
from pamqp import frame as amqp
from pamqp.commands import Basic
from pamqp.exceptions import PAMQPException
from pamqp.header import ContentHeader
from yarl import URL

from backhaul.broker.rabbitmq.frames import (
    BASIC_DELIVER,
    BODY,
    FRAME_OVERHEAD,
    HEADER,
    METHOD,
    body_size,
    delivery_tag,
    frame_start,
    method_number,
    short_text,
)

_UNREADABLE = (PAMQPException, ValueError, KeyError, IndexError, OverflowError, OSError, struct.error)


class TolerantConnection(RobustConnection):
    """aio-pika's connection over such streams."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.kwargs["transport_factory"] = _Streams()

    def __del__(self) -> None:
        """aio-pika's makes a coroutine that nobody may await, also where a refused connection has nothing to close."""
        if getattr(self, "transport", None) is not None:
            super().__del__()


class _Streams(TransportFactory):
    async def create(self, url: URL, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        provider = options.pop("ssl_context_provider")
        context = await provider.get_context() if url.scheme == "amqps" else None
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        transport, protocol = await loop.create_connection(
            lambda: ReadableFrames(reader, loop=loop), url.host or "localhost", url.port or 5672, ssl=context, **options
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


class ReadableFrames(asyncio.StreamReaderProtocol):
    """Passes on frames that pamqp can decode."""

    _rest = b""

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        frames, at, end = [], 0, len(data)
        while end - at >= FRAME_OVERHEAD:
            kind, _, size = frame_start(data, at)
            stop = min(at + size + FRAME_OVERHEAD, end) if kind > BODY else at + size + FRAME_OVERHEAD
            if stop > end:
                break
            frames.append(readable(data[at:stop]))
            at = stop
        self._rest = data[at:]
        if frames:
            super().data_received(b"".join(frames))


def readable(frame: bytes) -> bytes:
    """The frame itself, or one that says as much of it as can be said."""
    if frame[0] == HEADER or (frame[0] == METHOD and method_number(frame, 7)[0] == BASIC_DELIVER):
        try:
            amqp.unmarshal(frame)
        except _UNREADABLE:
            return _repaired(frame)
    return frame


def _repaired(frame: bytes) -> bytes:
    kind, channel, _ = frame_start(frame, 0)
    if kind == HEADER:
        return amqp.marshal(ContentHeader(body_size=body_size(frame, 7)[0]), channel)
    consumer_tag, at = short_text(frame, 11)
    exchange, end = short_text(frame, at + 9)
    routing_key, _ = short_text(frame, end)
    return amqp.marshal(
        Basic.Deliver(
            consumer_tag=consumer_tag,
            delivery_tag=delivery_tag(frame, at)[0],
            redelivered=bool(frame[at + 8]),
            exchange=exchange,
            routing_key=routing_key,
        ),
        channel,
    )
