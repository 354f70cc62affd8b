"""What could not be handled, as the API lists it."""

from enum import StrEnum
from typing import Any

from pydantic import Field

from backhaul_contracts.wire import Json, Moment, Wire


class Encoding(StrEnum):
    """How `DeadLetter.body` stands for the bytes of a message."""

    JSON = "json"
    """They are JSON, and `body` is its value."""
    TEXT = "text"
    """They are UTF-8, and `body` is the text."""
    BASE64 = "base64"


class DeadLetter(Wire):
    """A message that was set aside. `queue` is where it waits, `exchange` and `routing_key` are where it was sent to.

    `reason` is a problem code, or what the broker says: `expired`, `rejected`, `delivery_limit`, `maxlen`, `unrouted`;
    `unknown` if nothing tells. `received_at` is when it was set aside, null if nothing tells. `task_id` is the task it
    speaks of, if it speaks of one. A body that is long is cut (`body_truncated`): then it is text or Base64.
    """

    id: str
    queue: str
    reason: str
    detail: str | None = None
    task_id: str | None = None
    exchange: str
    routing_key: str
    headers: dict[str, Any] = Field(default_factory=dict)
    body: Json = None
    body_encoding: Encoding = Encoding.JSON
    body_size: int = 0
    """Of the whole body, in bytes."""
    body_truncated: bool = False
    content_type: str | None = None
    message_id: str | None = None
    received_at: Moment | None = None


class DeadLetterPage(Wire):
    """Newest first. `unseen`: how many more wait behind those that a look goes through; they show as these are dealt
    with."""

    data: list[DeadLetter]
    next_cursor: str | None = None
    unseen: int = 0
