"""What stands on the broker: names, and the objects behind them as plain data (adapters declare them)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from zlib import crc32

from backhaul_contracts.kinds import Interest

SHARD_KEYS = 256

_OURS = "backhaul."
SUBMIT = "backhaul.submit"
TASKS = "backhaul.tasks"
CLAIMS = "backhaul.claims"
BEATS = "backhaul.beats"
REPORTS = "backhaul.reports"
CONTROL = "backhaul.control"
REPLIES = "backhaul.replies"
EVENTS = "backhaul.events"
ON = "backhaul.on"
LIVE = "backhaul.live"
DEAD = "backhaul.dead"
INVALID = "backhaul.invalid"
UNROUTED = "backhaul.unrouted"

TOKEN_DELIVERY_LIMIT = 50
# No limit at all would be 20 from RabbitMQ 4.0, and -1 means "none" there and "drop at once" on 3.10: this number is
# out of reach on all of them.
NEVER = 1_000_000_000
OWNED_EXPIRY = timedelta(seconds=60)
OWNED_BYTES = 64 * 1024 * 1024


class ExchangeKind(StrEnum):
    DIRECT = "direct"
    TOPIC = "topic"
    FANOUT = "fanout"


@dataclass(frozen=True, slots=True)
class Exchange:
    name: str
    kind: ExchangeKind
    alternate: str | None = None
    """Where messages go that no queue is bound for."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue: a quorum queue, or, if `owned`, a bounded classic one that goes with its process."""

    name: str
    owned: bool = False
    single_active_consumer: bool = False
    dead_letter_to: str | None = None
    """The queue for what is rejected, expires, or was delivered too often."""
    delivery_limit: int = 20


@dataclass(frozen=True, slots=True)
class Binding:
    exchange: str
    queue: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Topology:
    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()


APPLY = "run `backhaul topology apply`"


@dataclass(frozen=True, slots=True)
class Misfit:
    """An object that is missing on the broker or differs; `remedy` is a sentence for people."""

    thing: str
    fact: str
    remedy: str = APPLY
    passing: bool = False
    """Whether it may mend by itself: nodes that are down may come back."""


def platform(ledger_shards: int) -> Topology:
    """Everything that does not depend on which services exist."""
    shard_queues = tuple(
        Queue(ledger_queue(n), single_active_consumer=True, dead_letter_to=DEAD) for n in range(ledger_shards)
    )
    return Topology(
        exchanges=(
            Exchange(SUBMIT, ExchangeKind.TOPIC, alternate=UNROUTED),
            Exchange(TASKS, ExchangeKind.DIRECT, alternate=UNROUTED),
            Exchange(REPORTS, ExchangeKind.DIRECT, alternate=UNROUTED),
            Exchange(CONTROL, ExchangeKind.DIRECT),
            Exchange(REPLIES, ExchangeKind.DIRECT),
            Exchange(EVENTS, ExchangeKind.TOPIC),
            Exchange(LIVE, ExchangeKind.DIRECT),
            Exchange(UNROUTED, ExchangeKind.FANOUT),
            # The ways of workers to these queues: who may write to the default exchange can reach every queue by name.
            Exchange(CLAIMS, ExchangeKind.DIRECT),
            Exchange(BEATS, ExchangeKind.DIRECT),
            Exchange(DEAD, ExchangeKind.DIRECT),
        ),
        queues=(
            Queue(SUBMIT, dead_letter_to=INVALID),
            Queue(CLAIMS),  # claims and beats that nobody reads expire, and are no dead letters: newer ones follow
            Queue(BEATS),
            *shard_queues,
            Queue(DEAD),
            Queue(INVALID),
            # Messages come here as they were sent, with any expiration, which must not make them vanish.
            Queue(UNROUTED, dead_letter_to=DEAD, delivery_limit=NEVER),
        ),
        bindings=(
            Binding(SUBMIT, SUBMIT, "#"),
            Binding(UNROUTED, UNROUTED),
            *(Binding(name, name, name) for name in (CLAIMS, BEATS, DEAD)),
            *(Binding(REPORTS, ledger_queue(key % ledger_shards), str(key)) for key in range(SHARD_KEYS)),
        ),
    )


def task_queues(queues: Iterable[str]) -> Topology:
    """The queues that carry the tokens of services; declared by the ledger when a service announces its kinds."""
    names = sorted(set(queues))
    return Topology(
        queues=tuple(
            Queue(task_queue(name), dead_letter_to=DEAD, delivery_limit=TOKEN_DELIVERY_LIMIT) for name in names
        ),
        bindings=tuple(Binding(TASKS, task_queue(name), name) for name in names),
    )


def event_queues(interests: Iterable[Interest]) -> Topology:
    """The queues in which events wait for services; declared by the ledger when a service announces its interests.

    Bindings are only ever added: an older version of the service may still want what a newer one does not.
    """
    queues = {event_queue(interest.service, interest.name): interest.patterns for interest in interests}
    return Topology(
        queues=tuple(Queue(name, dead_letter_to=DEAD) for name in queues),
        bindings=tuple(Binding(EVENTS, name, pattern) for name, patterns in queues.items() for pattern in patterns),
    )


def mailbox(exchange: str, owner: str, keys: Iterable[str] | None = None) -> Topology:
    """A queue of one process, `<exchange>.<owner>`, bound to `exchange` by `keys` (default: the owner's id)."""
    name = f"{exchange}.{owner}"
    return Topology(
        queues=(Queue(name, owned=True),),
        bindings=tuple(Binding(exchange, name, key) for key in (keys if keys is not None else (owner,))),
    )


def answerable(queue: str) -> bool:
    """Whether a publisher may be answered in this queue: not where the platform itself, or a service, believes what it
    reads. Workers are answered in their own."""
    return not queue.startswith(_OURS) or queue.startswith(f"{REPLIES}.")


def task_queue(queue: str) -> str:
    return f"{TASKS}.{queue}"


def event_queue(service: str, name: str) -> str:
    return f"{ON}.{service}.{name}"


def ledger_queue(number: int) -> str:
    return f"backhaul.ledger.{number}"


def shard(task_id: str) -> int:
    """The shard key of a task, 0…255: the same in every process and version."""
    return crc32(task_id.encode()) % SHARD_KEYS
