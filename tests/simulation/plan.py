"""The plan of a seed: what clients will wish for, and what harm will be done, and when. Drawn before anything runs."""

import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from backhaul.broker.memory import Faults
from backhaul_contracts.events import TERMINAL_EVENTS
from tests.simulation.clients import Wish
from tests.simulation.points import Ambush
from tests.simulation.service import ALONE, KINDS, QUICK, SLOW
from tests.simulation.weather import Weather

ROLL_OUT_AFTER = 4.0
"""Seconds after the healing: more than a lease."""
ENDS = tuple(sorted(TERMINAL_EVENTS))
STEPS = ("task.accepted", "task.started", "task.retrying", "task.cancelling")

POINTS: tuple[tuple[str, str], ...] = tuple(
    (role, f"{what} {side}")
    for role, names in {
        "gateway": (
            "store.accept",
            "store.advance",
            "store.settle",
            "publish.tasks",
            "publish.events",
            "publish.live",
            "publish.control",
            "ack.live",
        ),
        "ledger": (
            "store.accept",
            "store.advance",
            "store.claim",
            "store.beat",
            "store.settle",
            "store.owed",
            "publish.tasks",
            "publish.events",
            "publish.live",
            "publish.replies",
            "publish.reports",
            "publish.sim",
            "ack.submit",
            "ack.claims",
            "ack.beats",
            "ack.ledger",
        ),
        "worker": (
            "publish.claims",
            "publish.beats",
            "publish.reports",
            "publish.submit",
            "ack.tasks",
            "ack.replies",
            "ack.control",
            "requeue.tasks",
        ),
        "notifier": ("store.take_mail", "store.note_mail", "post"),
    }.items()
    for what in names
    for side in ("before", "after")
)
"""Every kind of point at which a role can be made to die."""


@dataclass(frozen=True, slots=True)
class Harm:
    """Something that happens to a role, the broker or the store (`target`: 0 or 1, the first or the second of them)."""

    at: float
    kind: str
    role: str = ""
    target: int = 0
    length: float = 0.0


@dataclass(slots=True)
class Plan:
    """`length`: seconds from the first wish to the healing of everything."""

    shards: int
    slots: int
    length: float
    faults: Faults
    wishes: list[Wish]
    published: list[Wish]
    harms: list[Harm]
    ambushes: list[tuple[float, Ambush]]
    revival: list[float] = field(default_factory=list)
    """How long it takes, each time, until a dead role is started anew."""
    endpoint: tuple[str, ...] = ()
    """The events that an endpoint is to be told of; none: there is no endpoint."""
    roll_out: bool = False
    """Whether an operator has a worker replaced when all is well again."""

    def weather(self, draw: random.Random) -> Weather:
        return Weather(
            draw,
            latency=draw.choice((0.0005, 0.002, 0.01)),
            slow=draw.choice((0.0, 0.0, 0.03)),
            store_refuses=draw.choice((0.0, 0.01, 0.04)),
            store_forgets=draw.choice((0.0, 0.01, 0.04)),
            connection_lost=draw.choice((0.0, 0.0, 0.01)),
        )


def make_plan(draw: random.Random, seed: int, harm: str | None = None) -> Plan:
    """The plan of a seed, from a generator of its own. `harm`: an eviction that is to be part of it, `roll out`, or a
    role and a point that it dies at again and again."""
    length = draw.uniform(2, 4)
    plan = _plan(draw, seed, length)
    if harm is not None and harm in {f"{role} {point}" for role, point in POINTS}:
        role, _, point = harm.partition(" ")
        plan.ambushes += [(length * n / 8, Ambush(role, point, 1)) for n in range(7)]
        plan.published += [_published(draw, length, n) for n in range(10, 13)]
        harm = None
    if draw.random() < 0.2 or harm == "roll out":
        plan.roll_out = True
        plan.wishes.append(_long_one(plan.length + ROLL_OUT_AFTER / 2))
    if harm == "roll out":
        return plan
    if draw.random() < 0.25 or harm is not None:
        at = draw.uniform(0.3, 1)
        kind = harm or draw.choice(_EVICTIONS)
        plan.harms.append(Harm(at, kind, "worker", length=6))
        if kind == "isolate":  # it is healed too early to matter, else
            plan.length = max(plan.length, at + 5.5)
        plan.wishes.append(_long_one(at))
    return plan


def _long_one(at: float) -> Wish:
    """Its handler is still at work when something happens to its worker."""
    return Wish(ALONE, {"input": {"attempts": [[["say", "json"], ["sleep", 5.5], ["say", "json"], ["return"]]]}}, at=at)


def _plan(draw: random.Random, seed: int, length: float) -> Plan:
    return Plan(
        shards=draw.choice((1, 2, 3)),
        slots=draw.choice((2, 2, 4)),
        length=length,
        faults=Faults(
            seed=seed,
            drop=draw.choice((0, 0.02, 0.08)),
            duplicate=draw.choice((0, 0.03, 0.1)),
            delay=draw.choice((0, 0.03, 0.1)),
            longest_delay=timedelta(milliseconds=draw.choice((50, 500))),
            reorder=draw.choice((0, 0.1)),
        ),
        wishes=[_wish(draw, length, n) for n in range(draw.randint(2, 5))],
        published=[_published(draw, length, n) for n in range(draw.randint(0, 2))],
        harms=sorted((_harm(draw, length) for _ in range(draw.randint(1, 3))), key=lambda harm: harm.at),
        ambushes=[_ambush(draw, length) for _ in range(draw.randint(1, 4))],
        revival=[draw.uniform(0.05, 2.5) for _ in range(16)],
        endpoint=draw.choice((ENDS, ())),
    )


def _wish(draw: random.Random, length: float, number: int) -> Wish:
    kind = draw.choices(KINDS, (5, 3, 4))[0]
    body: dict[str, Any] = {"input": {"attempts": _scripts(draw, kind)}}
    if draw.random() < 0.15:
        body["delay"] = round(draw.uniform(0.2, 2), 3)
    if draw.random() < 0.1:
        body["expires_in"] = round(body.get("delay", 0) + draw.uniform(0.3, 2), 3)
    if draw.random() < 0.3:
        body["priority"] = draw.randint(-3, 3)
    if draw.random() < 0.1:
        body["timeout"] = 0.5
    keyed = draw.random() < 0.8
    return Wish(
        kind=kind,
        body=body,
        key=f"key-{number}" if keyed else None,
        at=draw.uniform(0, length * 0.8),
        twice=keyed and draw.random() < 0.3,
        other_input=keyed and draw.random() < 0.1,
        watch=draw.random() < 0.7,
        watch_from_start=draw.random() < 0.7,
        leave_after=draw.uniform(0.1, 2) if draw.random() < 0.3 else None,
        cancel_after=draw.uniform(0, 2) if draw.random() < 0.3 else None,
        retry=draw.random() < 0.4,
        look=draw.random() < 0.3,
        wait=draw.random() < 0.15,
        webhook=draw.choice((ENDS, (*ENDS, *STEPS))) if draw.random() < 0.3 else (),
    )


def _published(draw: random.Random, length: float, number: int) -> Wish:
    return Wish(
        kind=draw.choice((QUICK, SLOW, ALONE)),
        body={"input": {"attempts": _scripts(draw, QUICK)}},
        key=f"published-{number}",
        at=draw.uniform(0, length * 0.8),
        twice=draw.random() < 0.4,
    )


_ENDS = (
    (["return"], 12),
    (["raise"], 3),
    (["fail"], 1),
    (["retry", 0.3], 2),
    (["hang"], 1),
    (["stubborn", 0.3], 1),
)


def _scripts(draw: random.Random, kind: str) -> list[list[list[Any]]]:
    """One for each attempt. What hangs does not do so again and again: a seed would take too long."""
    scripts = [_script(draw, kind) for _ in range(draw.choice((1, 1, 2, 3)))]
    if scripts[-1][-1][0] in {"hang", "stubborn"}:
        scripts.append([["return"]])
    return scripts


def _script(draw: random.Random, kind: str) -> list[list[Any]]:
    steps: list[list[Any]] = []
    for _ in range(draw.choice((0, 1, 2, 4))):
        steps.append(["say", draw.choice(("text", "text", "json", "progress", "log"))])
        if draw.random() < 0.5:
            steps.append(["sleep", round(draw.uniform(0.01, 0.8), 3)])
        if draw.random() < 0.25:
            steps.append(["save"])
    if draw.random() < 0.12:
        steps.append(["sleep", 4.5 if kind == ALONE else 2])
    if draw.random() < 0.06:
        steps.append(["submit", QUICK, {"attempts": [[["say", "json"], ["return"]]]}])
    if draw.random() < 0.08:
        inner = [["say", "json"], ["sleep", round(draw.uniform(0.01, 0.5), 3)], ["return"]]
        steps.append(["call", draw.choice((QUICK, SLOW)), {"attempts": [inner]}])
    ends, weights = zip(*_ENDS, strict=True)
    return [*steps, list(draw.choices(ends, weights)[0])]


_HARMS = (
    ("kill", 4),
    ("power", 2),
    ("freeze", 4),
    ("drain", 3),
    ("ask", 3),
    ("disconnect", 2),
    ("broker", 2),
    ("store", 2),
)
_EVICTIONS = ("isolate", "evict")
"""Done to a worker in the midst of an exclusive handler: it is cut off for longer than its lease, or drained."""


_SPEAKERS = ("gateway", "ledger", "worker")
_ROLES = {"ask": ("worker",), "disconnect": _SPEAKERS}
_LENGTHS = {"freeze": (0.3, 1, 2.5, 4, 12), "disconnect": (0.3, 2.5, 6)}


def _harm(draw: random.Random, length: float) -> Harm:
    kinds, weights = zip(*_HARMS, strict=True)
    kind = draw.choices(kinds, weights)[0]
    return Harm(
        at=draw.uniform(0.1, length * 0.9),
        kind=kind,
        role=draw.choice(_ROLES.get(kind, (*_SPEAKERS, "notifier"))),
        target=draw.randrange(2),
        length=draw.choice(_LENGTHS.get(kind, (0.3, 1, 2.5))),
    )


def _ambush(draw: random.Random, length: float) -> tuple[float, Ambush]:
    role, point = draw.choice(POINTS)
    return draw.uniform(0, length * 0.7), Ambush(role, point, draw.choice((1, 1, 2, 4)))
