"""What the log of each task shows of I2, I4, I5 and I6: it must be a legal walk through the state machine's table."""

from collections.abc import Iterator

from backhaul_contracts.events import EventType
from backhaul_contracts.tasks import HELD, TERMINAL
from tests.proof.case import Case, broken
from tests.proof.course import Course, Step
from tests.proof.observations import FinalTask, LoggedEvent
from tests.proof.violation import Invariant, Violation


def illegal_steps(case: Case) -> Iterator[Violation]:
    """I2, I4, I5 or I6, by what the step that the table does not know would have meant."""
    for course in case.courses.values():
        before: LoggedEvent | None = None
        for step in course.steps:
            if not step.legal:
                yield _illegal(step, before)
            before = step.event


def _illegal(step: Step, before: LoggedEvent | None) -> Violation:
    event = step.event
    evidence = (before, event) if before else (event,)
    text = f"{event.type} (seq {event.seq}) of a task that was {step.before or 'not accepted'}"
    return broken(_meaning(step), text, event.task_id, evidence)


def _meaning(step: Step) -> Invariant:
    if step.event.type == EventType.STARTED and step.before in HELD:
        return Invariant.I4
    if step.before in TERMINAL and not step.said:
        return Invariant.I2
    if step.said:
        return Invariant.I5
    return Invariant.I6


def late_writes(case: Case) -> Iterator[Violation]:
    """I5: an event of an attempt in the log behind the start of a later one."""
    for course in case.courses.values():
        current: LoggedEvent | None = None
        for event in (step.event for step in course.steps):
            if event.type == EventType.STARTED:
                current = event if current is None or event.attempt > current.attempt else current
            elif current and event.attempt < current.attempt:
                text = f"{event.type} of attempt {event.attempt} was accepted after attempt {current.attempt} started"
                yield broken(Invariant.I5, text, event.task_id, (current, event))


def strange_words(case: Case) -> Iterator[Violation]:
    """I5: what stands in the log under one attempt was said by another."""
    for event in case.history.of(LoggedEvent):
        if event.said_by not in {None, event.attempt}:
            text = f"{event.type} of attempt {event.attempt} was said by attempt {event.said_by}"
            yield broken(Invariant.I5, text, event.task_id, (event,))


def attempts(case: Case) -> Iterator[Violation]:
    """I6: attempts are numbered 1, 2, 3 … over all runs, the record knows the last, and failures keep their bound."""
    for course in case.courses.values():
        last = 0
        for event in course.starts():
            if event.attempt != last + 1:
                text = f"attempt {event.attempt} started after attempt {last}"
                yield broken(Invariant.I6, text, course.task_id, (event,))
            last = event.attempt
        task = case.tasks.get(course.task_id)
        if task:
            yield from _counts(task, last)


def _counts(task: FinalTask, started: int) -> Iterator[Violation]:
    if task.attempt != started:
        text = f"the record says attempt {task.attempt}, the log {started}"
        yield broken(Invariant.I6, text, task.task_id, (task,))
    if task.max_attempts is not None and task.failures > task.max_attempts:
        text = f"{task.failures} failures, of {task.max_attempts} at most"
        yield broken(Invariant.I6, text, task.task_id, (task,))


def numbers(case: Case) -> Iterator[Violation]:
    """I6: what a handler counts in what it says stands in the log from 1, without a hole, in order, once."""
    for course in case.courses.values():
        last: dict[int, int] = {}
        for event in (step.event for step in course.steps if step.event.numbers):
            yield from _out_of_order(event, last)


def _out_of_order(event: LoggedEvent, last: dict[int, int]) -> Iterator[Violation]:
    for number in event.numbers:
        expected = last.get(event.attempt, 0) + 1
        if number != expected:
            text = f"attempt {event.attempt} said {number} where {expected} was to come"
            yield broken(Invariant.I6, text, event.task_id, (event,))
        last[event.attempt] = number


def sequence(case: Case) -> Iterator[Violation]:
    """I7: the log itself is numbered 1, 2, 3 …, and the record knows its end."""
    for course in case.courses.values():
        for expected, step in enumerate(course.steps, start=1):
            if step.event.seq != expected:
                text = f"the log has seq {step.event.seq} where {expected} was to come"
                yield broken(Invariant.I7, text, course.task_id, (step.event,))
                break
        yield from _end(case.tasks.get(course.task_id), course)


def _end(task: FinalTask | None, course: Course) -> Iterator[Violation]:
    if task is None:
        event = course.steps[-1].event
        yield broken(Invariant.I7, "the log is of a task that is not in the record", course.task_id, (event,))
    elif not course.steps or task.seq != course.steps[-1].event.seq:
        yield broken(Invariant.I7, f"the record says seq {task.seq}, its log ends elsewhere", task.task_id, (task,))
