"""How queues stand: what waits and runs in each, for how long, and how fast it goes."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, select

from backhaul.store.functions import store_now
from backhaul.store.kinds import read_kinds
from backhaul.store.queues import NAMES
from backhaul.store.schema import IS_HELD, IS_QUEUED, queues, states, tasks
from backhaul_contracts.ids import made_at_ms
from backhaul_contracts.listings import QueueInfo

_MOST_WAITING = 100_000
_MOST_ENDED = 10_000
_WINDOW_MS = 60_000

_waiting = (
    select(states.c.task_id)
    .where(IS_QUEUED, states.c.queue == bindparam("queue"))
    .limit(_MOST_WAITING)
    .subquery("waiting_in_queue")
)
WAITING = select(func.count(), func.min(_waiting.c.task_id)).select_from(_waiting)
_SCHEDULED_FOR = select(tasks.c.scheduled_for).where(tasks.c.id == bindparam("task_id"))
HELD = select(states.c.queue, func.count()).where(IS_HELD).group_by(states.c.queue)
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


class _Waiting(NamedTuple):
    number: int
    since: int | None
    """Milliseconds since the epoch."""


def read_queues(connection: Connection) -> list[QueueInfo]:
    """See `Store.queues`."""
    now = connection.execute(_NOW).scalar_one()
    waiting = {name: _read_waiting(connection, name) for name in connection.scalars(NAMES)}
    running = {row[0]: row[1] for row in connection.execute(HELD)}
    rates = _rates([tuple(row) for row in connection.execute(ENDED)], now)
    paused = set(connection.scalars(_PAUSED))
    announced = {spec.queue for spec in read_kinds(connection)}
    return [
        QueueInfo(
            name=name,
            waiting=waiting[name].number if name in waiting else 0,
            running=running.get(name, 0),
            oldest_age=_age(waiting.get(name), now),
            rate=rates.get(name, 0.0),
            paused=name in paused,
        )
        for name in sorted(announced | paused | waiting.keys() | running.keys())
    ]


def _read_waiting(connection: Connection, queue: str) -> _Waiting:
    number, oldest = connection.execute(WAITING, {"queue": queue}).one()
    if oldest is None:
        return _Waiting(number, None)
    due = connection.scalar(_SCHEDULED_FOR, {"task_id": oldest})
    return _Waiting(number, max(made_at_ms(oldest), due or 0))


def _age(waiting: _Waiting | None, now: int) -> timedelta | None:
    if waiting is None or waiting.since is None:
        return None
    return timedelta(milliseconds=max(0, now - waiting.since))


def _rates(ended: Iterable[tuple[str, int, int]], now: int) -> Mapping[str, float]:
    """Tasks a second. The sample reaches back a minute, unless it is full."""
    counts = {queue: (number, first) for queue, number, first in ended}
    full = sum(number for number, _ in counts.values()) >= _MOST_ENDED
    window = now - min(first for _, first in counts.values()) if full else _WINDOW_MS
    return {queue: round(number * 1000 / max(window, 1), 3) for queue, (number, _) in counts.items()}
