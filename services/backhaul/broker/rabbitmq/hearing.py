"""A consumer of FastStream, and what it hands us: the messages of foreign producers.

Imported only for the first subscription: FastStream takes a quarter of a second and 20 MiB.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from aio_pika import IncomingMessage, RobustConnection
from aio_pika.exceptions import MessageProcessError
from faststream.exceptions import FastStreamException
from faststream.middlewares import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage, RabbitQueue
from yarl import URL

from backhaul.broker.rabbitmq.errors import CONNECT_ERRORS
from backhaul.broker.rabbitmq.tolerance import TolerantConnection

HEARING_ERRORS = (*CONNECT_ERRORS, FastStreamException, MessageProcessError, StopAsyncIteration)
"""What starting to hear a queue may raise (`StopAsyncIteration`: the broker, or a proxy before it, hung up at once)."""
MOST_CREDIT = 65_535
_SETTLE_TIMEOUT = 5.0
_CONNECT_TIMEOUT = 10.0
_RECOVERY_PAUSE = 1.0

logging.getLogger("aio_pika").setLevel(logging.CRITICAL)  # a traceback for each channel of each lost connection


class ForeignDelivery:
    """A message of a foreign producer. What its handler says of it is told to the broker when the handler is done."""

    __slots__ = ("_message", "outcome")

    def __init__(self, message: IncomingMessage) -> None:
        self._message = message
        self.outcome: str | None = None

    @property
    def body(self) -> bytes:
        return self._message.body

    @property
    def content_type(self) -> str | None:
        return self._message.content_type

    @property
    def exchange(self) -> str:
        return self._message.exchange or ""

    @property
    def routing_key(self) -> str:
        return self._message.routing_key or ""

    @property
    def message_id(self) -> str | None:
        return self._message.message_id

    @property
    def correlation_id(self) -> str | None:
        return self._message.correlation_id

    @property
    def reply_to(self) -> str | None:
        return self._message.reply_to

    @property
    def user_id(self) -> str | None:
        return self._message.user_id

    @property
    def priority(self) -> int | None:
        return self._message.priority

    @property
    def expiration(self) -> timedelta | None:
        seconds = self._message.expiration
        return timedelta(seconds=seconds) if isinstance(seconds, int | float) else None

    @property
    def headers(self) -> Mapping[str, Any]:
        return self._message.headers

    @property
    def content_encoding(self) -> str | None:
        return self._message.content_encoding

    @property
    def timestamp(self) -> datetime | None:
        return self._message.timestamp

    @property
    def type(self) -> str | None:
        return self._message.type

    @property
    def app_id(self) -> str | None:
        return self._message.app_id

    @property
    def redelivered(self) -> bool:
        return bool(self._message.redelivered)

    def ack(self) -> None:
        self.outcome = self.outcome or "ack"

    def requeue(self) -> None:
        self.outcome = self.outcome or "requeue"

    async def settle(self) -> None:
        """Tell the broker. If the connection it came by is gone, the broker delivers the message again anyway."""
        with suppress(*HEARING_ERRORS):
            async with asyncio.timeout(_SETTLE_TIMEOUT):
                if self.outcome == "requeue":
                    await self._message.reject(requeue=True)
                else:
                    await self._message.ack()


class _Broker(RabbitBroker):
    """FastStream's broker on a connection that bears unreadable messages."""

    async def _connect(self) -> RobustConnection:
        self._connection_kwargs["connection_class"] = TolerantConnection
        return await super()._connect()


class Hearing:
    """One consumer with a fixed credit, on a connection of its own, until that is lost."""

    def __init__(
        self,
        url: URL,
        queue: str,
        credit: int,
        *,
        on_delivery: "Callable[[Hearing, ForeignDelivery], None]",
        on_end: "Callable[[Hearing], None]",
    ) -> None:
        self.held = 0
        """How many messages that came by it are not settled."""
        self._on_delivery = on_delivery
        self._closing = False
        self._on_end = on_end
        self._broker = _Broker(
            str(url),
            app_id=None,
            apply_types=False,
            graceful_timeout=None,
            logger=None,
            on_close=(self._closed,),
            reconnect_interval=_RECOVERY_PAUSE,
            timeout=_CONNECT_TIMEOUT,
        )
        self._subscriber = self._broker.subscriber(
            RabbitQueue(queue, declare=False),
            channel=Channel(prefetch_count=min(credit, MOST_CREDIT), publisher_confirms=False),
            ack_policy=AckPolicy.MANUAL,
            decoder=_whole,
            no_reply=True,
        )
        self._subscriber(self._arrived)

    async def start(self) -> None:
        """Raises what `HEARING_ERRORS` lists."""
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            await self._broker.start()

    async def leave(self) -> None:
        """Stop consuming. What is held stays valid until `close`."""
        with suppress(*HEARING_ERRORS):
            async with asyncio.timeout(_SETTLE_TIMEOUT):
                await self._subscriber.stop()

    async def close(self) -> None:
        """Let the connection go: the broker delivers again what is held."""
        self._closing = True
        with suppress(*HEARING_ERRORS):
            async with asyncio.timeout(_SETTLE_TIMEOUT):
                await self._broker.stop()

    async def _arrived(self, message: RabbitMessage) -> None:
        # The handler must not run in here: aio-pika cancels what runs in here when the connection is lost.
        self.held += 1
        self._on_delivery(self, ForeignDelivery(message.raw_message))

    def _closed(self, *_: Any) -> None:
        if not self._closing:
            self._on_end(self)


async def _whole(message: RabbitMessage) -> RabbitMessage:
    """A decoder that cannot fail: the handler decides what the body is."""
    return message
