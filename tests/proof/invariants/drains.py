"""I14: a worker leaves when an operator asks it to, and takes nothing with it."""

from collections.abc import Iterator
from datetime import datetime

from tests.proof.case import Case, broken
from tests.proof.observations import Answer, DrainAsked, Fault, Heal, WorkerLeft
from tests.proof.violation import Invariant, Violation

_START = "start"


def left(case: Case) -> Iterator[Violation]:
    """Whoever was asked, and was not killed, has left in the end."""
    gone = {each.worker for each in case.history.of(WorkerLeft)}
    gone |= {fault.target for fault in case.history.of(Fault) if fault.kind == "kill"}
    for asked in _accepted(case):
        if asked.worker not in gone:
            yield broken(Invariant.I14, f"{asked.worker} was asked to drain, and is still there", evidence=(asked,))


def nothing_lost(case: Case) -> Iterator[Violation]:
    """When all has been well for a lease, what a leaving worker does not finish it hands back: nothing is lost."""
    harmed = _last_harm(case)
    leaving = {
        asked.worker: asked for asked in _accepted(case) if harmed is None or asked.at > harmed + case.terms.lease
    }
    for task_id, course in case.courses.items():
        of = {event.attempt: event.worker for event in course.starts()}
        for event in (step.event for step in course.steps if step.event.lost):
            asked = leaving.get(of.get(event.attempt) or "")
            if asked is not None and event.at >= asked.at:
                text = f"attempt {event.attempt} was lost with {asked.worker}, which was only asked to drain"
                yield broken(Invariant.I14, text, task_id, (asked, event))


def _accepted(case: Case) -> Iterator[DrainAsked]:
    return (asked for asked in case.history.of(DrainAsked) if asked.answer is Answer.ACCEPTED)


def _last_harm(case: Case) -> datetime | None:
    """When something was last harmed or healed; that a process is started anew is neither."""
    faults: list[Fault | Heal] = [*case.history.of(Fault), *case.history.of(Heal)]
    return max((each.at for each in faults if each.kind != _START), default=None)
