"""One TCP connection to RabbitMQ: frames are taken apart in bulk as they arrive, and written in bulk.

aiormq runs the connection itself (TLS, handshake, authentication, heartbeats, the orderly close: all of channel 0). It
would also carry messages, but wakes three tasks for every frame. Therefore the frames of all other channels are taken
out here, where the bytes arrive, and handed straight to `Channel` objects.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from pamqp import frame as amqp
from pamqp.commands import Connection

from backhaul.broker.rabbitmq.errors import ChannelLost
from backhaul.broker.rabbitmq.frames import (
    BODY,
    CONNECTION_BLOCKED,
    CONNECTION_CLOSE,
    CONNECTION_UNBLOCKED,
    FRAME_OVERHEAD,
    HEADER,
    HEARTBEAT,
    METHOD,
    frame_start,
    method_number,
)

_FEED_INTERVAL = 1.0
_TELLING = 16
_KINDS = (METHOD, HEADER, BODY, HEARTBEAT[0])


class FrameSink(Protocol):
    """What takes the frames of one channel. `data[start:stop]` is the frame's payload."""

    def on_method(self, data: bytes, start: int, stop: int) -> None: ...
    def on_header(self, data: bytes, start: int, stop: int) -> None: ...
    def on_body(self, data: bytes, start: int, stop: int) -> None: ...
    def on_lost(self, error: ChannelLost) -> None: ...


class Wire(asyncio.StreamReaderProtocol):
    """Reads for aiormq and for our channels; writes whole frames, all those of one turn of the loop at once."""

    def __init__(self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, loop=loop)
        self.sinks: dict[int, FrameSink] = {}
        self.lost: asyncio.Future[str] = loop.create_future()
        """Done with the reason when the connection can carry nothing more."""
        self.heard_at = loop.time()
        """The loop's time at which anything was last received."""
        self.blocked: str | None = None
        """Why the broker takes no messages at present (an alarm), if so."""
        self.on_alarm: Callable[[], None] | None = None
        """Called when `blocked` changes."""
        self.farewell: Connection.Close | None = None
        """How the broker closed the connection, if it did so in order."""
        self._clock = loop.time
        self._soon = loop.call_soon
        self._transport_out: asyncio.Transport | None = None
        self._rest = b""
        self._fed_at = self.heard_at
        self._foreign = b""
        self._out: list[Callable[[], bytes] | bytes] = []

    @property
    def foreign(self) -> bytes | None:
        """How that begins which was heard and is no AMQP; None: all of it is. Others say less than a frame has."""
        rest = self._rest[:_TELLING] if self._rest and self._rest[0] not in _KINDS else b""
        return self._foreign or rest or None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._transport_out = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        self.heard_at = self._clock()
        sinks, end, at = self.sinks, len(data), 0
        while end - at >= FRAME_OVERHEAD:
            kind, number, size = frame_start(data, at)
            stop = at + size + FRAME_OVERHEAD
            if stop > end and kind <= BODY:
                break
            if number == 0 or kind > BODY:
                stop = self._connection_frame(data, at, min(stop, end))
            elif (sink := sinks.get(number)) is not None:
                _hand_over(sink, kind, data, at + 7, stop - 1)
            at = stop
        self._rest = data[at:]
        self._keep_fed()

    def _connection_frame(self, data: bytes, start: int, stop: int) -> int:
        """Frames of channel 0, heartbeats and what is no AMQP at all are aiormq's; we only overhear some."""
        if data[start] == METHOD:
            self._overhear(data, start, stop)
        elif data[start] not in _KINDS:
            self._foreign = self._foreign or data[start : start + _TELLING]
        self._fed_at = self.heard_at
        super().data_received(data[start:stop])
        return stop

    def _overhear(self, data: bytes, start: int, stop: int) -> None:
        number = method_number(data, start + 7)[0]
        if number not in (CONNECTION_CLOSE, CONNECTION_BLOCKED, CONNECTION_UNBLOCKED):
            return
        method = amqp.unmarshal(data[start:stop])[2]
        if isinstance(method, Connection.Close):
            self.farewell = method
            self._end(f"{method.reply_code} {method.reply_text}")
        elif isinstance(method, Connection.Blocked):
            self._alarm(method.reason or "an alarm")
        else:
            self._alarm(None)

    def _alarm(self, reason: str | None) -> None:
        self.blocked = reason
        if self.on_alarm is not None:
            self.on_alarm()

    def _keep_fed(self) -> None:
        """aiormq gives up a connection on which it sees no frame, and the broker sends heartbeats only when idle."""
        if self.heard_at - self._fed_at > _FEED_INTERVAL:
            self._fed_at = self.heard_at
            super().data_received(HEARTBEAT)

    def eof_received(self) -> bool:
        return False  # close at once: nothing can follow, and nobody should wait for it

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(str(exc) if exc is not None else "the connection was closed")
        # Without an error aiormq would reject what it has pending with a bare `Exception`.
        super().connection_lost(exc or ConnectionResetError("the connection was closed"))

    def _end(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)
        sinks, self.sinks = self.sinks, {}
        for sink in sinks.values():
            sink.on_lost(ChannelLost(None, reason))

    def send(self, frames: bytes | Callable[[], bytes]) -> None:
        """Write whole frames at the end of this turn of the loop, together with all others.

        A callable is asked at that moment. What is sent when the connection is lost vanishes.
        """
        if not self._out:
            self._soon(self.flush)
        self._out.append(frames)

    def flush(self) -> None:
        """Write now what `send` has collected."""
        out, self._out = self._out, []
        if out and self._transport_out is not None and not self.lost.done():
            self._transport_out.write(b"".join([item if isinstance(item, bytes) else item() for item in out]))

    def abort(self) -> None:
        """Drop the connection without a word."""
        if self._transport_out is not None:
            self._transport_out.abort()


def _hand_over(sink: FrameSink, kind: int, data: bytes, start: int, stop: int) -> None:
    if kind == METHOD:
        sink.on_method(data, start, stop)
    elif kind == HEADER:
        sink.on_header(data, start, stop)
    else:
        sink.on_body(data, start, stop)
