"""Dead letters: what is written on a message that is set aside, and what can be read off one. Pure.

We ourselves write `bh-` headers. RabbitMQ writes `x-death` when it gives a message up, and nothing at all when it finds
no queue for one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from backhaul.core.messages import topology
from backhaul.core.ports.broker import Delivery, HeaderValue, Message
from backhaul_contracts import codec
from backhaul_contracts.envelope import CLOUDEVENT, CLOUDEVENT_BATCH
from backhaul_contracts.ids import TaskId, is_task_id
from backhaul_contracts.wire import format_time

QUEUES = (topology.DEAD, topology.INVALID, topology.UNROUTED)
"""Where dead letters wait."""

EXPIRED = "expired"
UNROUTED = "unrouted"
UNKNOWN = "unknown"

_OURS = "bh-"
_REASON, _DETAIL = "bh-reason", "bh-detail"
_EXCHANGE, _ROUTING_KEY = "bh-exchange", "bh-routing-key"
_TIME, _COPIES, _EXPIRATION, _USER = "bh-time", "bh-cc", "bh-expiration", "bh-user-id"
_DEATHS = ("x-death", "x-first-death-", "x-last-death-")
_COUNTER = re.compile("x-.*-count")
"""`x-delivery-count` and the like grow with each look."""
_ROUTING = frozenset({"CC", "BCC"})
"""RabbitMQ obeys them on every publish."""

_LONGEST_DETAIL = 1_000
_LARGEST_HEADERS = 120_000
"""Headers must fit into one frame of AMQP, with ours."""
_NUMBER = re.compile("[0-9]{1,10}")
_LONGEST_EXPIRATION = 2**32 - 1
_ID_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a dead letter was sent to, and what happened to it."""

    reason: str
    detail: str
    exchange: str
    routing_key: str
    copies_to: tuple[str, ...] = ()
    at: datetime | None = None
    """When it was set aside; None: nothing tells."""
    expiration: timedelta | None = None
    """How long it may wait if it is sent there again."""
    user: str | None = None
    """Who has sent it, if the broker has vouched for that. It does so for nobody else who sends it again."""


def set_aside(
    delivery: Delivery, queue: str, reason: str, detail: str, now: datetime, *, back_to: str | None = None
) -> Message:
    """`delivery` as it came, on its way to `queue`, with headers that say why. A replay sends it to where it was sent
    to, or to the queue `back_to` alone."""
    kept = {name: value for name, value in delivery.headers.items() if not _counts(name) and name not in _ROUTING}
    headers: dict[str, HeaderValue] = {
        **(kept if len(repr(kept)) <= _LARGEST_HEADERS else {}),
        _REASON: reason,
        _DETAIL: detail[:_LONGEST_DETAIL],
        _EXCHANGE: delivery.exchange if back_to is None else "",
        _ROUTING_KEY: delivery.routing_key if back_to is None else back_to,
        _TIME: format_time(now),
    }
    if copies := _texts(delivery.headers.get("CC")):
        headers[_COPIES] = list(copies)
    if delivery.expiration is not None:  # as a property it would make the letter vanish
        headers[_EXPIRATION] = _milliseconds(delivery.expiration)
    if delivery.user_id:
        headers[_USER] = delivery.user_id
    return _copy(delivery, exchange="", routing_key=queue, headers=headers)


def replayed(delivery: Delivery, origin: Origin) -> Message:
    """The message as it was first sent."""
    kept = {name: value for name, value in delivery.headers.items() if not _written_on(name)}
    # Reports go to several ledgers, who each leave alone what is not theirs. Elsewhere the other copies have arrived.
    copies = origin.copies_to if origin.exchange == topology.REPORTS else ()
    return _copy(
        delivery,
        exchange=origin.exchange,
        routing_key=origin.routing_key,
        headers=kept,
        copies_to=copies,
        expiration=origin.expiration,
    )


def origin(queue: str, delivery: Delivery) -> Origin:
    """What is written on a dead letter that waits in `queue`."""
    user = _text(delivery.headers.get(_USER)) or delivery.user_id or None
    return replace(_fate(queue, delivery), user=user)


def _fate(queue: str, delivery: Delivery) -> Origin:
    headers = delivery.headers
    if isinstance(headers.get(_REASON), str):
        return _as_we_wrote(headers)
    deaths = headers.get("x-death")
    if isinstance(deaths, list) and deaths and all(isinstance(death, dict) for death in deaths):
        return _as_the_broker_wrote(deaths)
    at = _aware(delivery.timestamp)
    exchange, key = delivery.exchange, delivery.routing_key
    if queue == topology.UNROUTED and exchange:
        detail = f"No queue is bound to {exchange} for the key {key!r}."
        return Origin(reason=UNROUTED, detail=detail, exchange=exchange, routing_key=key, at=at)
    detail = "Nothing on it tells how it came here."
    return Origin(reason=UNKNOWN, detail=detail, exchange=exchange, routing_key=key, at=at)


def identity(queue: str, delivery: Delivery) -> str:
    """The same for the same message in every process and at every look; equal for messages that are equal."""
    written = shown_headers(delivery)
    parts = (
        queue,
        delivery.exchange,
        delivery.routing_key,
        delivery.content_type,
        delivery.content_encoding,
        delivery.message_id,
        delivery.correlation_id,
        delivery.reply_to,
        delivery.priority,
        delivery.timestamp,
        delivery.type,
        delivery.app_id,
        delivery.user_id,
        _ordered(written),
    )
    digest = blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=_ID_BYTES)
    digest.update(delivery.body)
    return digest.hexdigest()


def shown_headers(delivery: Delivery) -> dict[str, Any]:
    """The headers as they are for everybody."""
    return {name: value for name, value in delivery.headers.items() if not _counts(name)}


def subject(delivery: Delivery) -> TaskId | None:
    """The task that a message of ours speaks of, if it is one task."""
    if (delivery.content_type or "").partition(";")[0].strip().lower() not in (CLOUDEVENT, CLOUDEVENT_BATCH):
        return None
    try:
        body = codec.loads(delivery.body)
    except ValueError:
        return None
    events = body if isinstance(body, list) else [body]
    found = {task for event in events if isinstance(event, dict) for task in _tasks(event)}
    return TaskId(found.pop()) if len(found) == 1 else None


def _tasks(event: Mapping[str, Any]) -> list[str]:
    data = event.get("data")
    named = [event.get("subject"), *((data.get("task_id"), data.get("id")) if isinstance(data, dict) else ())]
    return [text for text in named if isinstance(text, str) and is_task_id(text)][:1]


def _as_we_wrote(headers: Mapping[str, Any]) -> Origin:
    return Origin(
        reason=str(headers[_REASON]),
        detail=_text(headers.get(_DETAIL)),
        exchange=_text(headers.get(_EXCHANGE)),
        routing_key=_text(headers.get(_ROUTING_KEY)),
        copies_to=_texts(headers.get(_COPIES)),
        at=_moment(headers.get(_TIME)),
        expiration=_length(headers.get(_EXPIRATION)),
    )


def _as_the_broker_wrote(deaths: Sequence[Mapping[str, Any]]) -> Origin:
    """The newest death comes first; where the message was sent to stands in the oldest (RabbitMQ's guide `dlx`)."""
    last, first = deaths[0], deaths[-1]
    keys = _texts(first.get("routing-keys")) or ("",)
    exchange, reason = _text(first.get("exchange")), _text(last.get("reason"))
    if exchange == topology.EVENTS:  # the others who hear the event have it
        exchange, keys = "", (_text(first.get("queue")),)
    unrouted = _text(last.get("queue")) == topology.UNROUTED
    return Origin(
        reason=UNROUTED if unrouted else reason or UNKNOWN,
        detail=f"No queue is bound to {exchange} for the key {keys[0]!r}." if unrouted else _told(last),
        exchange=exchange,
        routing_key=keys[0],
        copies_to=keys[1:],
        at=_aware(last.get("time")),
        # Who replays what was too late wants it done all the same.
        expiration=None if reason == EXPIRED else _length(first.get("original-expiration")),
    )


def _told(death: Mapping[str, Any]) -> str:
    queue = _text(death.get("queue"))
    match death.get("reason"):
        case "expired":
            length = _length(death.get("original-expiration"))
            within = "in time" if length is None else f"within {length.total_seconds():g} s"
            return f"Nobody took it from {queue} {within}."
        case "delivery_limit":
            return f"It was delivered from {queue} too often, and never acknowledged."
        case "rejected":
            return f"A consumer of {queue} rejected it."
        case "maxlen":
            return f"There was no room in {queue}."
    return f"RabbitMQ gave it up in {queue}."


def _copy(
    delivery: Delivery,
    *,
    exchange: str,
    routing_key: str,
    headers: Mapping[str, HeaderValue],
    copies_to: tuple[str, ...] = (),
    expiration: timedelta | None = None,
) -> Message:
    return Message(
        exchange=exchange,
        routing_key=routing_key,
        body=delivery.body,
        content_type=delivery.content_type or "",
        content_encoding=delivery.content_encoding,
        message_id=delivery.message_id,
        correlation_id=delivery.correlation_id,
        reply_to=delivery.reply_to,
        priority=delivery.priority,
        timestamp=delivery.timestamp,
        type=delivery.type,
        app_id=delivery.app_id,
        headers=headers,
        copies_to=copies_to,
        expiration=expiration,
    )


def _written_on(name: str) -> bool:
    """Whether a header tells of the letter, and not of the message."""
    return name.startswith((_OURS, *_DEATHS)) or _counts(name) or name in _ROUTING


def _counts(name: str) -> bool:
    return _COUNTER.fullmatch(name) is not None


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((name, _ordered(item)) for name, item in value.items())
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _aware(moment: Any) -> datetime | None:
    if not isinstance(moment, datetime):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _moment(text: Any) -> datetime | None:
    try:
        return _aware(datetime.fromisoformat(text))
    except (TypeError, ValueError):
        return None


def _milliseconds(length: timedelta) -> str:
    return str(int(length.total_seconds() * 1000))


def _length(milliseconds: Any) -> timedelta | None:
    """None also for what RabbitMQ would close a channel for."""
    if not isinstance(milliseconds, str) or _NUMBER.fullmatch(milliseconds) is None:
        return None
    number = int(milliseconds)
    return timedelta(milliseconds=number) if number <= _LONGEST_EXPIRATION else None
