"""One AMQP channel: calls with answers, messages put together from their frames, and its end."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from pamqp import frame as amqp
from pamqp.base import Frame
from pamqp.commands import Basic
from pamqp.commands import Channel as Methods

from backhaul.broker.rabbitmq.errors import ChannelLost
from backhaul.broker.rabbitmq.frames import (
    BASIC_ACK,
    BASIC_CANCEL,
    BASIC_DELIVER,
    BASIC_GET_OK,
    BASIC_NACK,
    BASIC_RETURN,
    CHANNEL_CLOSE,
    CHANNEL_CLOSE_OK,
    body_size,
    delivery_tag,
    method_number,
)
from backhaul.broker.rabbitmq.wire import Wire

ANSWER_TIMEOUT = 20.0

_CONTENT = frozenset({BASIC_DELIVER, BASIC_RETURN, BASIC_GET_OK})


@dataclass(frozen=True, slots=True)
class Content:
    """A message that was asked for: the payloads of its method and header frames, and its body."""

    arguments: bytes
    header: bytes
    body: bytes


class ChannelUser(Protocol):
    """Who uses a channel hears of it here, at the moment the bytes arrive: nothing of this may block."""

    def on_content(self, method: int, arguments: bytes, header: bytes, body: bytes) -> None:
        """A delivery or a returned message: the payloads of its method and header frames, and its body."""
        ...

    def on_confirm(self, tag: int, *, multiple: bool, taken: bool) -> None:
        """The broker has taken (or refused) what was published under `tag`."""
        ...

    def on_cancelled(self) -> None:
        """The broker has ended the consumer: its queue was deleted, or its node is gone."""
        ...

    def on_lost(self, error: ChannelLost) -> None:
        """The channel has ended. Not called after `Channel.close`."""
        ...


class Call:
    """Methods that were sent together: `answer` is done with the last of their answers."""

    __slots__ = ("answer", "missing")

    def __init__(self, answers: int) -> None:
        self.missing = answers
        self.answer: asyncio.Future[Frame | Content] = asyncio.get_running_loop().create_future()


class Channel:
    """A channel that has been opened by `Session.channel`."""

    def __init__(self, wire: Wire, number: int, *, answers_cancel: bool) -> None:
        self.number = number
        self.user: ChannelUser | None = None
        self.error: ChannelLost | None = None
        """Set once the channel has ended."""
        self._wire = wire
        self._answers_cancel = answers_cancel
        self._waiting: deque[Call] = deque()
        self._method = 0
        self._arguments = b""
        self._header = b""
        self._parts: list[bytes] = []
        self._missing = 0

    async def call(self, *methods: Frame) -> Frame | Content:
        """Send synchronous methods in one write and return the answer to the last one.

        Raises `ChannelLost` if the broker closes the channel instead, `TimeoutError` if it does not answer.
        """
        if self.error is not None:
            raise self.error
        call = Call(len(methods))
        self._waiting.append(call)
        self._wire.send(b"".join(amqp.marshal(method, self.number) for method in methods))
        async with asyncio.timeout(ANSWER_TIMEOUT):
            return await call.answer

    def close(self) -> None:
        """Let go of the channel; the broker delivers again what is unsettled. Its number is free when it agrees."""
        if self.error is None:
            self.user = None
            self._end(ChannelLost(None, "the channel was closed"))
            goodbye = Methods.Close(reply_code=200, reply_text="", class_id=0, method_id=0)
            self._wire.sinks[self.number] = _Closing(self._wire, self.number)
            self._wire.send(amqp.marshal(goodbye, self.number))

    def on_method(self, data: bytes, start: int, stop: int) -> None:
        method = method_number(data, start)[0]
        if method in _CONTENT:
            self._method = method
            self._arguments = data[start + 4 : stop]
        elif method in (BASIC_ACK, BASIC_NACK):
            if self.user is not None:
                tag = delivery_tag(data, start + 4)[0]
                self.user.on_confirm(tag, multiple=bool(data[start + 12] & 1), taken=method == BASIC_ACK)
        else:
            self._rare(method, amqp.unmarshal(data[start - 7 : stop + 1])[2])

    def on_header(self, data: bytes, start: int, stop: int) -> None:
        self._header = data[start:stop]
        self._missing = body_size(data, start)[0]
        if not self._missing:
            self._complete(b"")

    def on_body(self, data: bytes, start: int, stop: int) -> None:
        self._missing -= stop - start
        if self._parts or self._missing:
            self._parts.append(data[start:stop])
            if not self._missing:
                parts, self._parts = self._parts, []
                self._complete(b"".join(parts))
        else:
            self._complete(data[start:stop])

    def on_lost(self, error: ChannelLost) -> None:
        self._end(error)
        if self.user is not None:
            self.user.on_lost(error)

    def _complete(self, body: bytes) -> None:
        if self._method == BASIC_GET_OK:
            self._answered(Content(self._arguments, self._header, body))
        elif self.user is not None:
            self.user.on_content(self._method, self._arguments, self._header, body)

    def _rare(self, method: int, frame: object) -> None:
        if method == CHANNEL_CLOSE and isinstance(frame, Methods.Close):
            self._wire.send(amqp.marshal(Methods.CloseOk(), self.number))
            self._wire.sinks.pop(self.number, None)
            self.on_lost(ChannelLost(frame.reply_code, frame.reply_text or ""))
        elif method == BASIC_CANCEL and isinstance(frame, Basic.Cancel):
            if self._answers_cancel:
                self._wire.send(amqp.marshal(Basic.CancelOk(consumer_tag=frame.consumer_tag), self.number))
            if self.user is not None:
                self.user.on_cancelled()
        elif isinstance(frame, Frame):
            self._answered(frame)

    def _answered(self, reply: Frame | Content) -> None:
        if not self._waiting:
            return
        call = self._waiting[0]
        call.missing -= 1
        if not call.missing:
            self._waiting.popleft()
            if not call.answer.done():
                call.answer.set_result(reply)

    def _end(self, error: ChannelLost) -> None:
        self.error = error
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            if not call.answer.done():
                call.answer.set_exception(error)


class _Closing:
    """What still comes on a channel that we have closed: everything is ignored until the broker agrees."""

    def __init__(self, wire: Wire, number: int) -> None:
        self._wire = wire
        self._number = number

    def on_method(self, data: bytes, start: int, stop: int) -> None:
        method = method_number(data, start)[0]
        if method == CHANNEL_CLOSE:  # both sides at once: each answers the other
            self._wire.send(amqp.marshal(Methods.CloseOk(), self._number))
        elif method == CHANNEL_CLOSE_OK:
            self._wire.sinks.pop(self._number, None)

    def on_header(self, data: bytes, start: int, stop: int) -> None:
        """Of a message that was under way."""

    def on_body(self, data: bytes, start: int, stop: int) -> None:
        """Of a message that was under way."""

    def on_lost(self, error: ChannelLost) -> None:
        """The number goes with its connection."""
