"""I7: what a client sees of a task has neither gap nor repeat, says what the log says, and goes on to the end."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from backhaul_contracts.events import GAP, SNAPSHOT
from backhaul_contracts.tasks import TERMINAL
from tests.proof.case import Case, broken
from tests.proof.course import shows
from tests.proof.observations import End, EventSeen, Observation, WatchEnded, WatchOpened
from tests.proof.violation import Invariant, Violation


@dataclass(slots=True)
class _Watch:
    opened: WatchOpened
    events: list[EventSeen] = field(default_factory=list)
    ended: WatchEnded | None = None


def gapless(case: Case) -> Iterator[Violation]:
    """In every view, over all its connections: each seq once, in order, none left out, behind the cursor."""
    for watches in _views(case).values():
        reached: dict[str, int] = {}
        for watch in watches:
            _begin(watch.opened, reached)
            for event in watch.events:
                yield from _next(case, event, reached)


def _begin(opened: WatchOpened, reached: dict[str, int]) -> None:
    if opened.task_id is None:
        reached.clear()  # a stream of many tasks starts anew at each connection, and says so
    elif opened.after is not None:
        reached[opened.task_id] = opened.after
    else:
        reached.pop(opened.task_id, None)


def _next(case: Case, event: EventSeen, reached: dict[str, int]) -> Iterator[Violation]:
    last = reached.get(event.task_id)
    reached[event.task_id] = event.seq
    if last is None:
        return
    shown_anew = event.type in {SNAPSHOT, GAP}
    if event.seq <= last and not (shown_anew and event.seq == last):
        yield broken(Invariant.I7, f"seq {event.seq} came after {last}", event.task_id, (event,))
    elif event.seq > last + (not shown_anew) and not (shown_anew and _gone(case, event.task_id, last + 1)):
        text = f"{last + 1} was left out: seq {event.seq} came after {last}"
        yield broken(Invariant.I7, text, event.task_id, (event,))


def _gone(case: Case, task_id: str, seq: int) -> bool:
    """Whether the log no longer holds what was missed: then a client is told of the gap instead."""
    return case.course(task_id).at(seq) is None


def truthful(case: Case) -> Iterator[Violation]:
    """Every event that came is that of the log; every snapshot shows the status that the log has at its seq."""
    for event in case.history.of(EventSeen):
        course = case.courses.get(event.task_id)
        if course is None:
            continue
        step = course.at(event.seq)
        if step is None:
            yield broken(Invariant.I7, f"seq {event.seq} is not in the log", event.task_id, (event,))
        elif event.type in {SNAPSHOT, GAP}:
            if event.status is not None and not shows(step, event.status):
                text = f"{event.status} was shown at seq {event.seq}, where the log has {step.after}"
                yield broken(Invariant.I7, text, event.task_id, (event, step.event))
        elif _differs(event, step.event.type, step.event.attempt, step.event.digest):
            yield broken(Invariant.I7, "it is another event in the log", event.task_id, (event, step.event))


def _differs(event: EventSeen, type_: str, attempt: int, digest: str | None) -> bool:
    return (
        event.type != type_
        or event.attempt not in {None, attempt}
        or (digest is not None and event.digest not in {None, digest})
    )


def to_the_end(case: Case) -> Iterator[Violation]:
    """A view of one task that its client has not left ends with a terminal event, and is told that nothing follows
    only then."""
    for watches in _views(case).values():
        reached: int | None = None
        for watch in watches:
            if watch.opened.task_id is None:
                continue
            reached = watch.events[-1].seq if watch.events else _or(watch.opened.after, reached)
            if watch.ended and watch.ended.end is End.EMPTY and not _over(case, watch, reached):
                text = f"it was told that nothing follows {reached}"
                yield broken(Invariant.I7, text, watch.opened.task_id, (watch.opened, watch.ended))
        yield from _last(case, watches[-1], reached)


def _last(case: Case, watch: _Watch, reached: int | None) -> Iterator[Violation]:
    opened, ended = watch.opened, watch.ended
    if opened.task_id is None or (ended and ended.end in {End.LEFT, End.EMPTY}) or _over(case, watch, reached):
        return
    evidence: list[Observation] = [opened, *watch.events[-1:], *([ended] if ended else [])]
    yield broken(Invariant.I7, f"what {opened.client} saw ended at {reached}", opened.task_id, evidence)


def _over(case: Case, watch: _Watch, reached: int | None) -> bool:
    course = case.courses.get(watch.opened.task_id or "")
    if course is None:
        return True  # deleted; or lost, which is another matter
    step = course.at(reached or 0)
    return step is not None and step.after in TERMINAL


def _or(first: int | None, second: int | None) -> int | None:
    return second if first is None else first


def _views(case: Case) -> dict[str, list[_Watch]]:
    watches: dict[str, _Watch] = {}
    views: dict[str, list[_Watch]] = {}
    for opened in case.history.of(WatchOpened):
        watch = watches[opened.watch] = _Watch(opened)
        views.setdefault(opened.view, []).append(watch)
    for event in case.history.of(EventSeen):
        watches[event.watch].events.append(event)
    for ended in case.history.of(WatchEnded):
        watches[ended.watch].ended = ended
    return views
