"""I12: a key makes one task, and nothing makes a task that nobody asked for."""

from collections import Counter
from collections.abc import Iterator

from tests.proof.case import Case, broken
from tests.proof.observations import Answer, FinalTask, Submitted
from tests.proof.violation import Invariant, Violation

_Key = tuple[str, str]


def one_task(case: Case) -> Iterator[Violation]:
    """In the record, and in what clients were told; told to one submit alone as new."""
    yield from _one_in_the_record(case)
    told: dict[_Key, Submitted] = {}
    new: dict[str, Submitted] = {}
    for submit in (each for each in case.history.of(Submitted) if each.task_id is not None):
        if submit.key is not None:
            other = told.setdefault((submit.tenant, submit.key), submit)
            if other.task_id != submit.task_id:
                yield broken(Invariant.I12, f"key {submit.key}: two tasks", submit.task_id, (other, submit))
        if not submit.replayed:
            other = new.setdefault(str(submit.task_id), submit)
            if other is not submit:
                yield broken(Invariant.I12, "two submits made the same task", submit.task_id, (other, submit))


def _one_in_the_record(case: Case) -> Iterator[Violation]:
    first: dict[_Key, FinalTask] = {}
    for task in (task for task in case.tasks.values() if task.key is not None):
        other = first.setdefault((task.tenant, str(task.key)), task)
        if other is not task:
            yield broken(Invariant.I12, f"key {task.key}: two tasks", task.task_id, (other, task))


def as_submitted(case: Case) -> Iterator[Violation]:
    """The task that a submit was answered with has the key and the kind that were submitted."""
    for submit in case.history.of(Submitted):
        task = case.tasks.get(submit.task_id or "")
        if task and (task.kind, task.key, task.tenant) != (submit.kind, submit.key, submit.tenant):
            yield broken(Invariant.I12, "it is not what was submitted", task.task_id, (submit, task))


def nobody_elses(case: Case) -> Iterator[Violation]:
    """Each task was asked for by a submit that was accepted or whose fate is unknown, or has another task as origin."""
    accepted: set[str | None] = set()
    unknown: Counter[tuple[str, str | None]] = Counter()
    for submit in case.history.of(Submitted):
        if submit.answer is Answer.ACCEPTED:
            accepted.add(submit.task_id)
        elif submit.answer is Answer.UNKNOWN or submit.code == "unavailable":
            unknown[submit.tenant, submit.key] += 1
    for task in case.tasks.values():
        if task.task_id in accepted or task.origin is not None:
            continue
        if unknown[task.tenant, task.key] <= 0:
            yield broken(Invariant.I12, "nobody submitted it, or its submit was refused", task.task_id, (task,))
        unknown[task.tenant, task.key] -= 1
