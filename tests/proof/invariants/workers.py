"""I4 and I11: what workers did was theirs to do."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tests.proof.case import Case, broken
from tests.proof.observations import Fault, GrantSeen, HandlerEnded, HandlerStarted, Heal, LoggedEvent
from tests.proof.violation import Invariant, Violation

_Attempt = tuple[str, int]


def one_grant(case: Case) -> Iterator[Violation]:
    """I4: an attempt is granted to one worker, under one token, however often the answer comes."""
    first: dict[_Attempt, GrantSeen] = {}
    for grant in case.history.of(GrantSeen):
        other = first.setdefault((grant.task_id, grant.attempt), grant)
        if (other.worker, other.token) != (grant.worker, grant.token):
            text = f"attempt {grant.attempt} was granted twice"
            yield broken(Invariant.I4, text, grant.task_id, (other, grant))


def nothing_unclaimed(case: Case) -> Iterator[Violation]:
    """I11: a handler starts once an attempt, for an attempt of the log, in the worker that it was granted to, and
    after that."""
    claims = _claims(case)
    first: dict[_Attempt, HandlerStarted] = {}
    for start in case.history.of(HandlerStarted):
        attempt = (start.task_id, start.attempt)
        claim = claims.get(attempt)
        other = first.setdefault(attempt, start)
        if claim is None:
            yield broken(Invariant.I11, f"attempt {start.attempt} ran unclaimed", start.task_id, (start,))
        elif claim.worker not in {None, start.worker}:
            yield broken(Invariant.I11, "another worker ran it", start.task_id, (claim, start))
        elif start.at + case.terms.skew < claim.at:
            yield broken(Invariant.I11, "it ran before it was claimed", start.task_id, (claim, start))
        if other is not start:
            yield broken(Invariant.I11, f"attempt {start.attempt} ran twice", start.task_id, (other, start))


def _claims(case: Case) -> dict[_Attempt, LoggedEvent]:
    return {(task_id, event.attempt): event for task_id, course in case.courses.items() for event in course.starts()}


@dataclass(frozen=True, slots=True)
class _Work:
    start: HandlerStarted
    end: datetime | None


def no_overlap(case: Case) -> Iterator[Violation]:
    """I4: exclusive handlers of one task never overlap, by their own log. One that was killed, or is paused and stops
    as soon as it goes on, is not at work."""
    works: dict[str, list[_Work]] = {}
    for work in _works(case):
        works.setdefault(work.start.task_id, []).append(work)
    for task_id, of_task in works.items():
        of_task.sort(key=lambda work: work.start.at)
        busy = of_task[0]
        for work in of_task[1:]:
            if busy.end is None or work.start.at < busy.end:
                evidence = (busy.start, work.start)
                yield broken(Invariant.I4, "exclusive handlers were at work together", task_id, evidence)
            busy = max(busy, work, key=_until)


def _until(work: _Work) -> float:
    return float("inf") if work.end is None else work.end.timestamp()


def _works(case: Case) -> Iterator[_Work]:
    ends = {(end.worker, end.task_id, end.attempt): end for end in case.history.of(HandlerEnded)}
    outages = _outages(case)
    for start in case.history.of(HandlerStarted):
        if start.exclusive:
            end = ends.get((start.worker, start.task_id, start.attempt))
            yield _Work(start, _end(case, start, end, outages.get(start.worker, [])))


@dataclass(frozen=True, slots=True)
class _Outage:
    begin: datetime
    end: datetime | None


def _end(case: Case, start: HandlerStarted, end: HandlerEnded | None, outages: list[_Outage]) -> datetime | None:
    """When the handler really stopped: None if it never did."""
    stopped = end.at if end else None
    for outage in outages:
        behind = stopped is not None and stopped < outage.begin
        if outage.begin < start.at or behind:
            continue
        if stopped is None or outage.end is None or stopped <= outage.end + case.terms.reaction:
            return outage.begin
    return stopped


def _outages(case: Case) -> dict[str, list[_Outage]]:
    """When each worker's code did not run: from kills on for ever, from pauses until the heal that follows."""
    heals: dict[str, list[datetime]] = {}
    for heal in case.history.of(Heal):
        heals.setdefault(heal.target, []).append(heal.at)
    outages: dict[str, list[_Outage]] = {}
    for fault in case.history.of(Fault):
        if fault.kind in {"kill", "pause"}:
            again = min((at for at in heals.get(fault.target, ()) if at >= fault.at), default=None)
            end = again if fault.kind == "pause" else None
            outages.setdefault(fault.target, []).append(_Outage(fault.at, end))
    return outages
