"""Which fault hits whom, when, and for how long. A seed decides; the same seed gives the same plan."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from tests.support.proxy import Way


class FaultKind(StrEnum):
    """What can happen to a process (the first six), to a link of it (three), to the servers (the rest)."""

    KILL = "kill"
    """SIGKILL, and a new start a moment later."""
    DRAIN = "drain"
    """SIGTERM, and a new start when it has ended."""
    ASK = "ask"
    """An operator asks a worker over HTTP to drain, and it is started anew when it has ended."""
    PAUSE = "pause"
    """SIGSTOP for less than a lease."""
    FREEZE = "freeze"
    """SIGSTOP for longer than a lease, and than the broker waits for a sign of life."""
    CUT = "cut"
    """A connection is reset."""
    STALL = "stall"
    """A connection passes nothing on for a while, then all of it."""
    SEVER = "sever"
    """A connection passes nothing on for a while, then is reset: what was under way is lost."""
    STOP = "stop"
    """RabbitMQ ends in order, PostgreSQL ends running transactions ("fast")."""
    CRASH = "crash"
    """`kill -9` of RabbitMQ, an immediate end of PostgreSQL, without a checkpoint."""
    STILL = "still"
    """The server stands still: connections stay open, nothing answers."""
    ALARM = "alarm"
    """RabbitMQ is short of memory: it takes nothing from publishers, and says nothing to them."""


BROKER = "broker"
DATABASE = "database"
CLIENTS = "clients"
"""The other end of a gateway's link to whom it serves."""

_PROCESS = (FaultKind.KILL, FaultKind.KILL, FaultKind.DRAIN, FaultKind.PAUSE, FaultKind.FREEZE)
_LINK = (FaultKind.CUT, FaultKind.STALL, FaultKind.SEVER)
_SERVER = (FaultKind.STOP, FaultKind.CRASH, FaultKind.STILL)
_BROKER = (*_SERVER, FaultKind.ALARM)
_SECONDS = {
    FaultKind.KILL: (0.1, 2.0),
    FaultKind.DRAIN: (0.1, 1.0),
    FaultKind.ASK: (0.1, 1.0),
    FaultKind.PAUSE: (0.3, 2.5),
    FaultKind.FREEZE: (6.0, 13.0),
    FaultKind.CUT: (0.0, 0.0),
    FaultKind.STALL: (0.5, 13.0),
    FaultKind.SEVER: (0.5, 13.0),
    FaultKind.STOP: (0.5, 4.0),
    FaultKind.CRASH: (0.5, 4.0),
    FaultKind.STILL: (0.5, 6.0),
    FaultKind.ALARM: (0.5, 8.0),
}


@dataclass(frozen=True, slots=True)
class Planned:
    """`target`: a process (`worker-2`), a link (`ledger-1>database`) or a server. `length`: until it is healed."""

    at: timedelta
    kind: FaultKind
    target: str
    length: timedelta
    way: Way = Way.BOTH


@dataclass(frozen=True, slots=True)
class _Card:
    kind: FaultKind
    role: str
    """`worker`, `worker>broker`, `broker`, …"""


def plan(seed: int, processes: Sequence[str], *, start: timedelta, end: timedelta, gap: timedelta) -> Iterator[Planned]:
    """Faults from `start` until `end`, one about every `gap`, on `processes` (`<role>-<number>`).

    The first ones are one of each kind; then whole decks follow, in which every kind of fault hits every role it can.
    """
    chance = random.Random(seed)
    at = start
    for card in _draw(chance):
        if at >= end:
            return
        shortest, longest = _SECONDS[card.kind]
        yield Planned(
            at=at,
            kind=card.kind,
            target=_target(card, processes, chance),
            length=timedelta(seconds=round(chance.uniform(shortest, longest), 1)),
            way=chance.choice((Way.THERE, Way.BACK, Way.BOTH)),
        )
        at += gap * round(chance.uniform(0.5, 1.5), 2)


def _draw(chance: random.Random) -> Iterator[_Card]:
    deck = _deck()
    chance.shuffle(deck)
    yield from {card.kind: card for card in deck}.values()
    while True:
        chance.shuffle(deck)
        yield from deck


def _deck() -> list[_Card]:
    roles = ("gateway", "ledger", "worker", "notifier")
    links = [f"{role}>{BROKER}" for role in roles[:3]] + [
        f"{role}>{DATABASE}" for role in ("gateway", "ledger", "notifier")
    ]
    links.append(f"gateway>{CLIENTS}")
    processes = [_Card(kind, role) for role in roles for kind in _PROCESS]
    processes += [_Card(FaultKind.FREEZE, "worker"), *[_Card(FaultKind.ASK, "worker")] * 3]
    connections = [_Card(kind, link) for link in links for kind in _LINK] + [_Card(FaultKind.SEVER, f"ledger>{BROKER}")]
    servers = [_Card(kind, BROKER) for kind in _BROKER] + [_Card(kind, DATABASE) for kind in _SERVER]
    return processes + connections + servers


def _target(card: _Card, processes: Sequence[str], chance: random.Random) -> str:
    role, arrow, server = card.role.partition(">")
    if role in {BROKER, DATABASE}:
        return role
    return chance.choice([name for name in processes if name.startswith(f"{role}-")]) + arrow + server
