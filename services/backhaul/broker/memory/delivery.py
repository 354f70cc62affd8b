"""Messages in memory, waiting and delivered."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from backhaul.core.ports.broker import Message


class Stored:
    """A message in one queue."""

    __slots__ = ("deliveries", "expires_at", "headers", "message", "place")

    def __init__(self, message: Message, headers: Mapping[str, object], expires_at: datetime | None) -> None:
        self.message = message
        self.headers = headers
        self.expires_at = expires_at
        self.place = 0.0
        """Orders it among the others of its queue, also when it comes back."""
        self.deliveries = 0
        """How often it was delivered and not acknowledged."""


class Holder(Protocol):
    """Where a delivery came by, and is settled."""

    def settle(self, delivery: "MemoryDelivery", *, acked: bool) -> None: ...


class MemoryDelivery:
    """A delivery in memory."""

    __slots__ = ("_earlier", "_holder", "_settled", "stored", "turn")

    def __init__(self, stored: Stored, holder: Holder, turn: int) -> None:
        self.stored = stored
        self.turn = turn
        """Which credit of its consumer it was delivered on."""
        self._earlier = stored.deliveries
        self._holder = holder
        self._settled = False

    @property
    def body(self) -> bytes:
        return self.stored.message.body

    @property
    def content_type(self) -> str | None:
        return self.stored.message.content_type or None

    @property
    def exchange(self) -> str:
        return self.stored.message.exchange

    @property
    def routing_key(self) -> str:
        return self.stored.message.routing_key

    @property
    def message_id(self) -> str | None:
        return self.stored.message.message_id

    @property
    def correlation_id(self) -> str | None:
        return self.stored.message.correlation_id

    @property
    def reply_to(self) -> str | None:
        return self.stored.message.reply_to

    @property
    def user_id(self) -> str | None:
        return None

    @property
    def priority(self) -> int | None:
        return self.stored.message.priority

    @property
    def expiration(self) -> timedelta | None:
        return self.stored.message.expiration

    @property
    def content_encoding(self) -> str | None:
        return self.stored.message.content_encoding

    @property
    def timestamp(self) -> datetime | None:
        return self.stored.message.timestamp

    @property
    def type(self) -> str | None:
        return self.stored.message.type

    @property
    def app_id(self) -> str | None:
        return self.stored.message.app_id

    @property
    def headers(self) -> Mapping[str, Any]:
        if not self._earlier:
            return self.stored.headers
        return {**self.stored.headers, "x-delivery-count": self._earlier}

    @property
    def redelivered(self) -> bool:
        return self._earlier > 0

    def ack(self) -> None:
        self._settle(acked=True)

    def requeue(self) -> None:
        self._settle(acked=False)

    def _settle(self, *, acked: bool) -> None:
        if not self._settled:
            self._settled = True
            self._holder.settle(self, acked=acked)
