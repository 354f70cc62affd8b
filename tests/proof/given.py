"""Good histories to break: one task each, told from its log."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from backhaul_contracts.tasks import Status
from tests.proof.course import STATUS_AFTER
from tests.proof.history import History
from tests.proof.observations import (
    Answer,
    Commanded,
    End,
    EventSeen,
    FinalTask,
    HandlerEnded,
    HandlerStarted,
    LoggedEvent,
    Observation,
    Remains,
    Submitted,
    WatchEnded,
    WatchOpened,
)

O = TypeVar("O", bound=Observation)  # noqa: E741 — an observation

TASK = "tsk_1"
BEGIN = datetime(2030, 1, 1, tzinfo=UTC)

A_SUCCESS = "accepted queued started/1 output/1 succeeded/1"
A_RETRIED_SUCCESS = "accepted queued started/1 output/1 retrying/1 queued/1 started/2 output/2 succeeded/2"
A_FAILURE = "accepted queued started/1 failed/1"
A_SECOND_RUN = "accepted queued started/1 failed/1 queued/1 started/2 succeeded/2"


def moment(second: float) -> datetime:
    return BEGIN + timedelta(seconds=second)


def log(words: str, task_id: str = TASK) -> list[LoggedEvent]:
    """A log from words like `started/2`: one event a second, from seq 1, by worker `w1`, `w2` for each attempt."""
    events = []
    for seq, word in enumerate(words.split(), start=1):
        name, _, attempt = word.partition("/")
        worker = f"w{attempt}" if name == "started" else None
        type_, number = f"task.{name}", int(attempt or 0)
        events.append(LoggedEvent(task_id=task_id, seq=seq, attempt=number, type=type_, at=moment(seq), worker=worker))
    return events


def final(events: list[LoggedEvent], **changes: Any) -> FinalTask:
    """The record that such a log leaves."""
    last = events[-1]
    status = STATUS_AFTER[last.type]
    result = "hash" if status is Status.SUCCEEDED else None
    task = FinalTask(
        task_id=last.task_id,
        kind="a.kind",
        queue="a",
        status=status,
        attempt=max(event.attempt for event in events),
        seq=last.seq,
        key=last.task_id,
        result_hash=result,
    )
    return replace(task, **changes)


def submitted(task_id: str | None = TASK, **changes: Any) -> Submitted:
    submit = Submitted(
        client="c",
        kind="a.kind",
        at=moment(0),
        answer=Answer.ACCEPTED,
        key=task_id,
        task_id=task_id,
        status=Status.QUEUED,
        seq=2,
    )
    return replace(submit, **changes)


def retried(**changes: Any) -> Commanded:
    command = Commanded(client="c", command="retry", task_id=TASK, at=moment(5), answer=Answer.ACCEPTED)
    return replace(command, **changes)


def seen(events: list[LoggedEvent], watch: str = "v1", after: int = 0, view: str = "v") -> list[Observation]:
    """What a watch sees that begins behind `after` and ends with the log."""
    opened = WatchOpened(
        watch=watch,
        view=view,
        client="c",
        task_id=events[0].task_id,
        transport="sse",
        gateway="g1",
        at=moment(0),
        after=after,
    )
    shown = [
        EventSeen(
            watch=watch,
            task_id=event.task_id,
            seq=event.seq,
            type=event.type,
            at=event.at,
            attempt=event.attempt,
            result_hash="hash" if event.type == "task.succeeded" else None,
        )
        for event in events
        if event.seq > after
    ]
    return [opened, *shown, WatchEnded(watch=watch, end=End.CLOSED, at=moment(60))]


def handled(events: list[LoggedEvent], *, exclusive: bool = False) -> list[Observation]:
    """What the workers saw of the attempts in a log; each handler ends a tenth of a second before its attempt."""
    observations: list[Observation] = []
    for start in (event for event in events if event.type == "task.started"):
        attempt, worker = start.attempt, str(start.worker)
        end = max(event.at for event in events if event.attempt == attempt and event.type != "task.queued")
        observations += [
            HandlerStarted(worker=worker, task_id=start.task_id, attempt=attempt, at=start.at, exclusive=exclusive),
            HandlerEnded(
                worker=worker, task_id=start.task_id, attempt=attempt, at=end - timedelta(seconds=0.1), how="returned"
            ),
        ]
    return observations


NOTHING_LEFT = Remains(outbox=0, leases=0, queues={"backhaul.tasks.a": 0, "backhaul.dead": 3})


def story(words: str = A_SUCCESS) -> list[Observation]:
    """A whole good history of one task with this log."""
    events = log(words)
    retries = [retried() for _ in range(words.count("failed/1 queued"))]
    return [submitted(), *retries, *seen(events), *handled(events), *events, final(events), NOTHING_LEFT]


def history(*parts: Observation | Sequence[Observation]) -> History:
    found = History()
    for part in parts:
        found.add(*(part if isinstance(part, Sequence) else [part]))
    return found


def without(observations: Sequence[Observation], *gone: type) -> list[Observation]:
    return [each for each in observations if not isinstance(each, gone)]


def replaced(observations: Sequence[Observation], old: Observation, **changes: Any) -> list[Observation]:
    """The same, but `old` is another."""
    return [replace(each, **changes) if each is old else each for each in observations]


def changed(observations: Sequence[Observation], type_: type[O], **changes: Any) -> list[Observation]:
    """The same, but the last observation of this type is another."""
    return replaced(observations, [each for each in observations if isinstance(each, type_)][-1], **changes)


def unhandled(words: str) -> list[Observation]:
    """A good history without what its workers saw."""
    return without(story(words), HandlerStarted, HandlerEnded)
