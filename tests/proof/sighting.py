"""Where clients were shown how a task stands, in whatever way: answers, events, snapshots, reads."""

from collections.abc import Iterator
from dataclasses import dataclass

from backhaul_contracts.tasks import Status
from tests.proof.course import STATUS_AFTER
from tests.proof.history import History
from tests.proof.observations import Commanded, EventSeen, Observation, Submitted, TaskSeen, WatchOpened


@dataclass(frozen=True, slots=True)
class Sighting:
    """`client` was shown by `seen` that the task was `status` at `seq` (None: at its end)."""

    client: str
    task_id: str
    seq: int | None
    status: Status
    result_hash: str | None
    seen: Observation


def sightings(history: History) -> Iterator[Sighting]:
    clients = {opened.watch: opened.client for opened in history.of(WatchOpened)}
    answers: list[Submitted | Commanded] = [*history.of(Submitted), *history.of(Commanded)]
    for answer in answers:
        if answer.task_id is not None and answer.status is not None:
            yield Sighting(answer.client, answer.task_id, answer.seq, answer.status, None, answer)
    for event in history.of(EventSeen):
        status = event.status or STATUS_AFTER.get(event.type)
        if status is not None:
            client = clients.get(event.watch, event.watch)
            yield Sighting(client, event.task_id, event.seq, status, event.result_hash, event)
    for read in history.of(TaskSeen):
        yield Sighting(read.client, read.task_id, read.seq, read.status, read.result_hash, read)
