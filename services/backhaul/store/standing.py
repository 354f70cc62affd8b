"""How queues stand: what waits and runs in each, for how long, and how fast it goes."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from backhaul.store.functions import store_now
from backhaul.store.kinds import read_queues_of_kinds
from backhaul.store.queues import lengths
from backhaul.store.records import TASK_IDS
from backhaul.store.schema import IS_HELD, queues, states, tasks
from backhaul_contracts.ids import TaskId, made_at_ms
from backhaul_contracts.listings import QueueInfo
from backhaul_contracts.tasks import Status

MOST = 100_000
_MOST_ENDED = 10_000
_WINDOW_MS = 60_000

_SCHEDULED_FOR = select(tasks.c.id, tasks.c.scheduled_for).join(TASK_IDS.table, tasks.c.id == TASK_IDS.c.task_id)
_held = select(states.c.queue, states.c.status).where(IS_HELD).limit(MOST).subquery("held")
HELD = select(_held.c.queue, _held.c.status, func.count()).group_by(_held.c.queue, _held.c.status)
_ended = (
    select(states.c.queue, states.c.finished_at)
    .where(states.c.retained_until.is_not(None))
    .order_by(states.c.retained_until.desc())
    .limit(_MOST_ENDED)
    .subquery("ended")
)
ENDED = (
    select(_ended.c.queue, func.count(), func.min(_ended.c.finished_at))
    .where(_ended.c.finished_at > store_now() - _WINDOW_MS)
    .group_by(_ended.c.queue)
)
_PAUSED = select(queues.c.name).where(queues.c.paused)
_NOW = select(store_now())


class Standing(NamedTuple):
    """How queues stand, without what of them has ended. Tasks are counted up to `MOST` in each queue."""

    kinds: list[str]
    names: list[str]
    waiting: Mapping[str, int]
    held: Mapping[tuple[str, Status], int]
    oldest_ages: Mapping[str, timedelta]
    """Of the queues in which a task waits."""
    paused: set[str]


def read_standing(connection: Connection) -> Standing:
    """Of every queue that a kind names, that is paused, or that has tasks."""
    waiting = lengths(connection, MOST)
    held = {(queue, Status(status)): number for queue, status, number in connection.execute(HELD)}
    paused = set(connection.scalars(_PAUSED))
    named = read_queues_of_kinds(connection)
    busy = waiting.keys() | {queue for queue, _ in held}
    return Standing(
        kinds=sorted(named),
        names=sorted({*named.values()} | paused | busy),
        waiting={queue: number for queue, (number, _) in waiting.items()},
        held=held,
        oldest_ages=_ages(connection, {queue: oldest for queue, (_, oldest) in waiting.items()}),
        paused=paused,
    )


def read_queues(connection: Connection) -> list[QueueInfo]:
    """See `Store.queues`."""
    standing = read_standing(connection)
    rates = _rates([tuple(row) for row in connection.execute(ENDED)], connection.execute(_NOW).scalar_one())
    running: Counter[str] = Counter()
    for (queue, _), number in standing.held.items():
        running[queue] += number
    return [
        QueueInfo(
            name=name,
            waiting=standing.waiting.get(name, 0),
            running=running[name],
            oldest_age=standing.oldest_ages.get(name),
            rate=rates.get(name, 0.0),
            paused=name in standing.paused,
        )
        for name in standing.names
    ]


def _ages(connection: Connection, oldest: Mapping[str, TaskId]) -> dict[str, timedelta]:
    """How long these tasks have waited: since they were made, or since they were due if that was later."""
    found = connection.execute(_SCHEDULED_FOR, TASK_IDS.values(oldest.values())) if oldest else ()
    due = {task_id: moment or 0 for task_id, moment in found}
    now = connection.execute(_NOW).scalar_one()
    since = {queue: max(made_at_ms(task_id), due.get(task_id, 0)) for queue, task_id in oldest.items()}
    return {queue: timedelta(milliseconds=max(0, now - began)) for queue, began in since.items()}


def _rates(ended: Iterable[tuple[str, int, int]], now: int) -> Mapping[str, float]:
    """Tasks a second. The sample reaches back a minute, unless it is full."""
    counts = {queue: (number, first) for queue, number, first in ended}
    full = sum(number for number, _ in counts.values()) >= _MOST_ENDED
    window = now - min(first for _, first in counts.values()) if full else _WINDOW_MS
    return {queue: round(number * 1000 / max(window, 1), 3) for queue, (number, _) in counts.items()}
