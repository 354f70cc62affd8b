"""I10: after the last heal, work goes on within two lease times."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from backhaul_contracts.events import EventType
from backhaul_contracts.tasks import Status
from tests.proof.case import Case, broken
from tests.proof.course import Course
from tests.proof.observations import Heal, LoggedEvent
from tests.proof.violation import Invariant, Violation

_IDLE = frozenset({Status.SCHEDULED, Status.QUEUED, Status.RETRYING})


@dataclass(frozen=True, slots=True)
class _Wait:
    """A task could be claimed, or made claimable, from `since` on, until its next event (None: none came)."""

    queue: str
    event: LoggedEvent
    since: datetime
    until: datetime | None


def work_resumes(case: Case) -> Iterator[Violation]:
    """For each queue with a task that could be claimed all the while from the last heal until two leases later: one
    of its tasks starts in that time. Which one is the matter of priority, and of slots. Tasks that are scheduled or
    retrying count from when they are due."""
    heals = [heal.at for heal in case.history.of(Heal)]
    if not heals:
        return
    heal = max(heals)
    limit = heal + 2 * case.terms.lease + case.terms.skew
    started: set[str] = set()
    waiting: dict[str, _Wait] = {}
    for course in case.courses.values():
        queue = _queue(case, course)
        if any(heal <= event.at <= limit for event in course.starts()):
            started.add(queue)
        for wait in _waits(course, queue):
            if wait.since <= heal and (wait.until is None or wait.until > limit):
                waiting.setdefault(queue, wait)
    for queue, wait in waiting.items():
        if queue not in started:
            text = f"nothing of queue {queue} started within two lease times of the last heal, at {heal}"
            yield broken(Invariant.I10, text, wait.event.task_id, (wait.event,))


def _queue(case: Case, course: Course) -> str:
    task = case.tasks.get(course.task_id)
    return task.queue if task else ""


def _waits(course: Course, queue: str) -> Iterator[_Wait]:
    for index, step in enumerate(course.steps):
        if step.after not in _IDLE or step.event.type == EventType.ACCEPTED:
            continue
        after = course.steps[index + 1].event.at if index + 1 < len(course.steps) else None
        yield _Wait(queue, step.event, max(step.event.at, step.event.due or step.event.at), after)
