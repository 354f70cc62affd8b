"""I1 and I2: every accepted task ends, once a run, and nobody but an operator begins another."""

from collections import Counter
from collections.abc import Iterator

from backhaul_contracts.tasks import TERMINAL
from tests.proof.case import Case, broken
from tests.proof.observations import Answer, Commanded, EventSeen, FinalTask, Submitted, TaskSeen
from tests.proof.violation import Invariant, Violation


def acknowledged(case: Case) -> Iterator[Violation]:
    """I1: what was acknowledged (or seen in any way) is in the record, unless a client deleted it."""
    deleted = {
        each.task_id
        for each in case.history.of(Commanded)
        if each.command == "delete" and each.answer is not Answer.REFUSED
    }
    known = case.tasks.keys() | deleted
    missed: set[str] = set()
    shown: list[Submitted | TaskSeen | EventSeen] = [
        *case.history.of(Submitted),
        *case.history.of(TaskSeen),
        *case.history.of(EventSeen),
    ]
    for seen in shown:
        if seen.task_id is None or seen.task_id in known or seen.task_id in missed:
            continue
        missed.add(seen.task_id)
        yield broken(Invariant.I1, "it was acknowledged, and is not in the record", seen.task_id, (seen,))


def confirmed(case: Case) -> Iterator[Violation]:
    """I1: what the broker has confirmed to a direct publisher became a task: it is found by its key."""
    keys = {(task.tenant, task.key) for task in case.tasks.values()}
    for publish in case.history.of(Submitted):
        if publish.answer is Answer.ACCEPTED and publish.task_id is None and (publish.tenant, publish.key) not in keys:
            text = f"key {publish.key} was confirmed to its publisher, and made no task"
            yield broken(Invariant.I1, text, evidence=(publish,))


def ended(case: Case) -> Iterator[Violation]:
    """I1: every task in the record has ended, as its log says too; also one of which no client knows."""
    for task in case.tasks.values():
        course = case.course(task.task_id)
        if not task.status.done:
            yield broken(Invariant.I1, f"it never ended: it is {task.status}", task.task_id, (task,))
        elif course.steps and course.status is not task.status:
            text = f"the record says {task.status}, the log {course.status}"
            yield broken(Invariant.I1, text, task.task_id, (task, course.steps[-1].event))


def runs(case: Case) -> Iterator[Violation]:
    """I1: every acknowledged retry began a run. I2: nothing else did, save that a parent that is run again may ask for
    what it has called once more, at most once an attempt."""
    accepted: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    commands: dict[str, list[Commanded]] = {}
    for each in (each for each in case.history.of(Commanded) if each.command == "retry"):
        commands.setdefault(each.task_id, []).append(each)
        accepted[each.task_id] += each.answer is Answer.ACCEPTED
        unknown[each.task_id] += each.answer is Answer.UNKNOWN
    for task_id, task in case.tasks.items():
        begun = case.course(task_id).last_run
        evidence = (*commands.get(task_id, ()), task)
        if begun < accepted[task_id]:
            text = f"{accepted[task_id]} acknowledged retries began {begun} runs"
            yield broken(Invariant.I1, text, task_id, evidence)
        asked = accepted[task_id] + unknown[task_id] + _called_again(case, task)
        if begun > asked:
            text = f"{begun} runs were begun anew, {asked} were asked for"
            yield broken(Invariant.I2, text, task_id, evidence)


def _called_again(case: Case, task: FinalTask) -> int:
    """How often at most a call of its parent found it ended."""
    parent = case.tasks.get(task.origin or "")
    return max(0, parent.attempt - 1) if parent else 0


def shown_endings(case: Case) -> Iterator[Violation]:
    """I2: whoever is shown that a run has ended, and how, is shown what the log says."""
    for shown in case.sightings:
        course = case.course(shown.task_id)
        ended_as = course.ending(course.run_at(shown.seq))
        if course.steps and shown.status in TERMINAL and shown.status is not ended_as:
            text = f"{shown.status} was shown; that run ended as {ended_as}"
            yield broken(Invariant.I2, text, shown.task_id, (shown.seen,))
