"""Dead letters as the API shows them: their ids, their bodies, and a page of the newest."""

import heapq
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from backhaul.core.messages import deadletters, topology
from backhaul.core.messages.deadletters import Origin
from backhaul.core.ports.broker import Delivery
from backhaul_contracts import codec
from backhaul_contracts.deadletters import DeadLetter, Encoding
from backhaul_contracts.ids import TaskId
from backhaul_contracts.wire import Json, format_time

SHOWN = 16 * 1024
"""How much of a body a list shows, in bytes."""
HEAVIEST_PAGE = 8 * 1024 * 1024
"""How many bytes of bodies a list shows; it is then shorter than was asked for."""

Key = tuple[datetime, str]
"""Orders letters: by time, then by id."""

# What came at an unknown time is shown first: it must not be overlooked behind what is old.
_UNKNOWN_TIME = datetime.max.replace(tzinfo=UTC)
_QUEUES = {"d": topology.DEAD, "i": topology.INVALID, "u": topology.UNROUTED}
_LETTERS = {queue: letter for letter, queue in _QUEUES.items()}
_CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\r")


class Naming:
    """Gives the letters of one queue their ids, in the order in which they wait there.

    Letters that are equal in all they carry are numbered: it does not matter which of them is replayed or deleted.
    """

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._equals: Counter[str] = Counter()

    def name(self, delivery: Delivery) -> str:
        digest = deadletters.identity(self._queue, delivery)
        self._equals[digest] += 1
        number = self._equals[digest]
        return f"dl_{_LETTERS[self._queue]}{digest}" + (f"-{number}" if number > 1 else "")


def queue_of(letter_id: str) -> str | None:
    """The queue in which a letter of this id would wait; None: there is no such id."""
    return _QUEUES.get(letter_id[3:4]) if letter_id.startswith("dl_") else None


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, with as much of its body as is shown."""

    id: str
    queue: str
    origin: Origin
    headers: dict[str, Any]
    content_type: str | None
    message_id: str | None
    body: bytes
    size: int
    task_id: TaskId | None

    @property
    def key(self) -> Key:
        return (self.origin.at or _UNKNOWN_TIME, self.id)

    def view(self) -> DeadLetter:
        """The letter as the API shows it."""
        body, encoding = _readable(self.body, cut=len(self.body) < self.size)
        return DeadLetter(
            id=self.id,
            queue=self.queue,
            reason=self.origin.reason,
            detail=self.origin.detail,
            task_id=self.task_id,
            exchange=self.origin.exchange,
            routing_key=self.origin.routing_key,
            headers=_plain(self.headers),
            body=body,
            body_encoding=encoding,
            body_size=self.size,
            body_truncated=len(self.body) < self.size,
            content_type=self.content_type,
            message_id=self.message_id,
            received_at=self.origin.at,
        )


def letter(letter_id: str, queue: str, delivery: Delivery, *, shown: int | None = None) -> Letter:
    """The letter that a delivery from `queue` is, with its whole body, or `shown` bytes of it."""
    return Letter(
        id=letter_id,
        queue=queue,
        origin=deadletters.origin(queue, delivery),
        headers=deadletters.shown_headers(delivery),
        content_type=delivery.content_type,
        message_id=delivery.message_id,
        body=delivery.body[:shown],
        size=len(delivery.body),
        task_id=deadletters.subject(delivery),
    )


class Newest:
    """The newest letters of all that are shown to it, in bounded memory."""

    def __init__(self, limit: int, before: Key | None, fits: Callable[[Origin], bool]) -> None:
        self.more = False
        """Whether there are others, older than these."""
        self._limit = limit
        self._before = before
        self._fits = fits
        self._heap: list[tuple[Key, Letter]] = []
        self._weight = 0

    def looking_at(self, queue: str) -> Callable[[Delivery], bool]:
        """What a look at this queue asks of each message: to be seen, and left where it is."""
        naming = Naming(queue)

        def see(delivery: Delivery) -> bool:
            self._see(naming.name(delivery), queue, delivery)
            return False

        return see

    def letters(self) -> list[Letter]:
        """Newest first."""
        return [kept for _, kept in sorted(self._heap, key=lambda entry: entry[0], reverse=True)]

    def _see(self, letter_id: str, queue: str, delivery: Delivery) -> None:
        origin = deadletters.origin(queue, delivery)
        key = (origin.at or _UNKNOWN_TIME, letter_id)
        if not self._fits(origin) or (self._before is not None and key >= self._before):
            return
        if len(self._heap) >= self._limit and key < self._heap[0][0]:
            self.more = True
            return
        kept = letter(letter_id, queue, delivery, shown=SHOWN)
        heapq.heappush(self._heap, (key, kept))
        self._weight += len(kept.body)
        while len(self._heap) > self._limit or (self._weight > HEAVIEST_PAGE and len(self._heap) > 1):
            self._weight -= len(heapq.heappop(self._heap)[1].body)
            self.more = True


def _readable(body: bytes, *, cut: bool) -> tuple[Json, Encoding]:
    if not cut:
        try:
            return codec.loads(body), Encoding.JSON
        except ValueError:
            pass
    if _CONTROLS.isdisjoint(body):
        try:
            return body.decode(errors="strict"), Encoding.TEXT
        except UnicodeDecodeError as error:
            if cut and error.start > len(body) - 4:  # in the midst of a character
                return body[: error.start].decode(), Encoding.TEXT
    return b64encode(body).decode(), Encoding.BASE64


def _plain(value: Any) -> Any:
    """A header as JSON can say it."""
    match value:
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case list():
            return [_plain(item) for item in value]
        case datetime():
            return format_time(value)
        case bytes() | bytearray():
            return _readable(bytes(value), cut=True)[0]
        case Decimal():
            return str(value)
    return value
