"""What came of a run, in numbers. Pure: a history in, figures out."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from backhaul_contracts.events import EventType
from backhaul_contracts.tasks import Status
from tests.faults.plan import BROKER, DATABASE, FaultKind, Planned
from tests.proof.history import History
from tests.proof.observations import (
    Answer,
    End,
    EventSeen,
    Fault,
    FinalTask,
    HandlerEnded,
    HandlerStarted,
    Heal,
    LoggedEvent,
    Submitted,
    WatchEnded,
    WatchOpened,
    WebhookCame,
)
from tests.proof.violation import Invariant, Violation


class Fate(StrEnum):
    """What happened to a task, the worst first."""

    LOST = "lost"
    """It was acknowledged, and is not there or has not ended."""
    DOUBLED = "doubled"
    """Two tasks, two outcomes or two runs at once where there must be one."""
    GAPPED = "gapped"
    """Somebody was shown its events with a gap or a repeat."""
    RECOVERED = "recovered"
    """It ended well although an attempt of it was lost, stopped or never began, or a client's request for it was."""
    UNDISTURBED = "undisturbed"


_WORST = {
    Invariant.I1: Fate.LOST,
    Invariant.I9: Fate.LOST,
    Invariant.I10: Fate.LOST,
    Invariant.I13: Fate.LOST,
    Invariant.I14: Fate.LOST,
    Invariant.I7: Fate.GAPPED,
}


@dataclass(frozen=True, slots=True)
class Spread:
    """How long something took, over `count` cases; zeros if there were none."""

    count: int
    median: timedelta
    p95: timedelta
    longest: timedelta


@dataclass(frozen=True, slots=True)
class Figures:
    """`faults` by kind and by the role or link they hit; `tasks` by kind and status; `attempts` all that were granted,
    of which `lost_attempts` ended without a word of their handler; `webhooks` that were taken, and those of them that
    were taken again."""

    faults: dict[str, dict[str, int]]
    tasks: dict[str, dict[str, int]]
    fates: dict[Fate, int]
    attempts: int
    lost_attempts: int
    events: int
    events_seen: int
    submits_unknown: int
    reconnects: int
    webhooks: int
    webhooks_again: int
    recovery: dict[str, Spread]


def figures(
    history: History,
    inflicted: Iterable[Planned],
    violations: Iterable[Violation],
    answered: Sequence[tuple[str, datetime]],
) -> Figures:
    """`answered`: when which gateway (by its name) answered a request."""
    ends = {(each.task_id, each.attempt): each for each in history.of(HandlerEnded)}
    starts = [event for event in history.of(LoggedEvent) if event.type == EventType.STARTED]
    hurt = _hurt(history, starts, ends)
    taken = Counter(each.delivery for each in history.of(WebhookCame) if each.taken)
    return Figures(
        faults=_table((fault.kind, _sort(fault.target)) for fault in inflicted),
        tasks=_table((task.kind, task.status) for task in history.of(FinalTask)),
        fates=_fates(history, violations, hurt),
        attempts=len(starts),
        lost_attempts=sum((start.task_id, start.attempt) not in ends for start in starts),
        events=len(history.of(LoggedEvent)),
        events_seen=len(history.of(EventSeen)),
        submits_unknown=sum(each.answer is Answer.UNKNOWN for each in history.of(Submitted)),
        reconnects=len(history.of(WatchOpened)) - len({each.view for each in history.of(WatchOpened)}),
        webhooks=len(taken),
        webhooks_again=sum(count > 1 for count in taken.values()),
        recovery={
            "from the kill of a worker to the next attempt of what it ran": spread(_after_kills(history)),
            "from the return of RabbitMQ to the next success": spread(_after_return(history, BROKER)),
            "from the return of PostgreSQL to the next success": spread(_after_return(history, DATABASE)),
            "from the kill of a gateway to its next answer": spread(_until_answers(history, answered)),
        },
    )


def spread(lengths: Iterable[timedelta]) -> Spread:
    """Percentiles by nearest rank."""
    ordered = sorted(lengths)
    if not ordered:
        return Spread(0, timedelta(0), timedelta(0), timedelta(0))
    last = len(ordered) - 1
    return Spread(len(ordered), ordered[round(last * 0.5)], ordered[round(last * 0.95)], ordered[-1])


def _fates(history: History, violations: Iterable[Violation], hurt: set[str]) -> dict[Fate, int]:
    fates = {
        task.task_id: Fate.RECOVERED if task.task_id in hurt else Fate.UNDISTURBED for task in history.of(FinalTask)
    }
    order = list(Fate)
    for violation in violations:
        if violation.task_id is not None:
            fate = _WORST.get(violation.invariant, Fate.DOUBLED)
            fates[violation.task_id] = min(fates.get(violation.task_id, fate), fate, key=order.index)
    counted = Counter(fates.values())
    return {fate: counted[fate] for fate in Fate}


def _hurt(history: History, starts: Iterable[LoggedEvent], ends: dict[tuple[str, int], HandlerEnded]) -> set[str]:
    """Tasks that a fault has touched, as far as it shows: an attempt without an end or stopped, a request without an
    answer, a stream that broke."""
    cancelled = {task.task_id for task in history.of(FinalTask) if task.status is Status.CANCELLED}
    broken = {each.watch for each in history.of(WatchEnded) if each.end is End.BROKEN}
    unanswered = {each.key for each in history.of(Submitted) if each.answer is Answer.UNKNOWN}
    lost = {start.task_id for start in starts if (start.task_id, start.attempt) not in ends}
    stopped = {end.task_id for end in ends.values() if end.how == "cancelled"} - cancelled
    watched = {each.task_id for each in history.of(WatchOpened) if each.watch in broken and each.task_id}
    asked = {task.task_id for task in history.of(FinalTask) if task.key in unanswered}
    return lost | stopped | watched | asked


def _after_kills(history: History) -> Iterable[timedelta]:
    """For each attempt that ran when its worker was killed: until the handler of a later one has started."""
    kills = {fault.target: fault.at for fault in history.of(Fault) if fault.kind == FaultKind.KILL}
    ended = {(end.task_id, end.attempt) for end in history.of(HandlerEnded)}
    starts: dict[str, list[HandlerStarted]] = {}
    for start in history.of(HandlerStarted):
        starts.setdefault(start.task_id, []).append(start)
    for of_task in starts.values():
        of_task.sort(key=lambda start: start.attempt)
        for start, following in pairwise(of_task):
            killed = kills.get(start.worker)
            if killed is not None and start.at <= killed and (start.task_id, start.attempt) not in ended:
                yield following.at - killed


def _after_return(history: History, server: str) -> Iterable[timedelta]:
    """Left out are returns from which another outage of a server did not leave the time."""
    successes = sorted(event.at for event in history.of(LoggedEvent) if event.type == EventType.SUCCEEDED)
    outages = _outages(history)
    for heal in history.of(Heal):
        first = _first(successes, heal.at) if heal.target == server else None
        if first is not None and not any(begin < first and end > heal.at for begin, end in outages):
            yield first - heal.at


def _outages(history: History) -> list[tuple[datetime, datetime]]:
    """From when until when a server was away."""
    found: list[tuple[datetime, datetime]] = []
    for server in (BROKER, DATABASE):
        heals = [heal.at for heal in history.of(Heal) if heal.target == server]
        begins = [fault.at for fault in history.of(Fault) if fault.target == server]
        found += zip(begins, heals, strict=False)
    return found


def _until_answers(history: History, answered: Sequence[tuple[str, datetime]]) -> Iterable[timedelta]:
    for fault in history.of(Fault):
        if fault.kind == FaultKind.KILL and fault.target.startswith("gateway"):
            answers = (at for name, at in answered if name == fault.target and at > fault.at)
            if (first := next(answers, None)) is not None:
                yield first - fault.at


def _first(moments: Iterable[datetime], since: datetime) -> datetime | None:
    return next((moment for moment in moments if moment >= since), None)


def _sort(target: str) -> str:
    """`worker-2>broker` → `worker>broker`."""
    name, arrow, server = target.partition(">")
    return name.rstrip("-0123456789") + arrow + server


def _table(pairs: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for (row, column), count in sorted(Counter(pairs).items()):
        table.setdefault(str(row), {})[str(column)] = count
    return table
