"""A message in a queue, and a message on its way to a consumer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from backhaul.core.ports.broker import Message

if TYPE_CHECKING:
    from backhaul.broker.memory.consumer import Consumer
    from backhaul.broker.memory.queue import MemoryQueue


@dataclass(slots=True)
class Stored:
    """A message as a queue keeps it. `tries`: how often it was delivered and came back."""

    message: Message
    expires_at: datetime | None = None
    tries: int = 0


class MemoryDelivery:
    """A delivery that is held by a consumer until it is settled or the connection is lost."""

    __slots__ = ("_message", "consumer", "generation", "queue", "settled", "stored")

    def __init__(self, stored: Stored, queue: "MemoryQueue", consumer: "Consumer") -> None:
        self.stored = stored
        self.queue = queue
        self.consumer = consumer
        self.generation = consumer.generation
        self.settled = False
        self._message = stored.message

    @property
    def body(self) -> bytes:
        return self._message.body

    @property
    def content_type(self) -> str | None:
        return self._message.content_type or None

    @property
    def exchange(self) -> str:
        return self._message.exchange

    @property
    def routing_key(self) -> str:
        return self._message.routing_key

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
        return None

    @property
    def priority(self) -> int | None:
        return self._message.priority

    @property
    def expiration(self) -> timedelta | None:
        return self._message.expiration

    @property
    def headers(self) -> Mapping[str, object]:
        return self._message.headers

    @property
    def redelivered(self) -> bool:
        return self.stored.tries > 0

    def ack(self) -> None:
        if not self.settled:
            self.settled = True
            self.consumer.release(self)

    def requeue(self) -> None:
        if not self.settled:
            self.settled = True
            self.queue.take_back([self.stored])
            self.consumer.release(self)
