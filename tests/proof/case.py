"""A history, arranged for judging: read once, looked up by task."""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.proof.course import Course
from tests.proof.history import History
from tests.proof.observations import FinalTask, LoggedEvent, Observation, Terms
from tests.proof.sighting import Sighting, sightings
from tests.proof.violation import Invariant, Violation


@dataclass(frozen=True, slots=True)
class Case:
    """`tasks`: the record at the end. `courses`: one for each task that has a log or a record."""

    history: History
    terms: Terms
    tasks: dict[str, FinalTask]
    courses: dict[str, Course]
    sightings: tuple[Sighting, ...]

    def course(self, task_id: str) -> Course:
        """The course of a task; an empty one if the record does not know it."""
        return self.courses.get(task_id) or Course(task_id)


def arrange(history: History) -> Case:
    tasks = {task.task_id: task for task in history.of(FinalTask)}
    courses = {task_id: Course(task_id) for task_id in tasks}
    for event in history.of(LoggedEvent):
        courses.setdefault(event.task_id, Course(event.task_id)).add(event)
    return Case(history, history.terms, tasks, courses, tuple(sightings(history)))


def broken(
    invariant: Invariant, text: str, task_id: str | None = None, evidence: Iterable[Observation] = ()
) -> Violation:
    return Violation(invariant, text, task_id, tuple(evidence))
