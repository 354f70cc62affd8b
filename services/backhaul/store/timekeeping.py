"""Timekeeping: what time asks for, oldest first. Whether it still holds is decided when the command is applied."""

from datetime import datetime

from sqlalchemy import Connection, Integer, bindparam, select

from backhaul.core.clock import from_ms
from backhaul.core.task.commands import Command, Expire, GiveUp, Release
from backhaul.store.functions import store_now
from backhaul.store.schema import IS_TIMED, IS_UNSTARTED, states
from backhaul_contracts.ids import TaskId
from backhaul_contracts.tasks import Status

_TIME = select(store_now())
_now = _TIME.scalar_subquery()
_most = bindparam("most", type_=Integer)

DUE = (
    select(states.c.not_before, states.c.task_id, states.c.status)
    .where(IS_TIMED, states.c.not_before <= _now)
    .order_by(states.c.not_before)
    .limit(_most)
)
EXPIRED = (
    select(states.c.expires_at, states.c.task_id)
    .where(IS_UNSTARTED, states.c.expires_at <= _now)
    .order_by(states.c.expires_at)
    .limit(_most)
)


def now(connection: Connection) -> datetime:
    """See `Store.now`."""
    return from_ms(connection.execute(_TIME).scalar_one())


def overdue(connection: Connection, limit: int) -> list[Command]:
    """See `Store.overdue`."""
    timed: list[tuple[int, Command]] = []
    for moment, task_id, status in connection.execute(DUE, {"most": limit}):
        wish = GiveUp if status == Status.CANCELLING else Release
        timed.append((moment, wish(TaskId(task_id))))
    for moment, task_id in connection.execute(EXPIRED, {"most": limit}):
        timed.append((moment, Expire(TaskId(task_id))))
    timed.sort(key=lambda pair: pair[0])
    return [command for _, command in timed[:limit]]
