"""Retention: tasks are deleted as a whole, on request or when their time is over."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection, Integer, bindparam, delete, exists, not_, select

from backhaul.core.task.record import Record
from backhaul.store import metadata
from backhaul.store.changing import locked
from backhaul.store.functions import store_now
from backhaul.store.records import TASK_IDS, read_record, record_columns
from backhaul.store.schema import IS_HELD, deliveries, events, states, tasks, workers
from backhaul.store.times import length_ms
from backhaul_contracts.ids import TaskId
from backhaul_contracts.tasks import TERMINAL

_MOST_EVENTS = 200_000
"""How many events one call deletes at most: more would outlast the time that a statement may take."""
_WORKERS_REMEMBERED = timedelta(days=1)

_now = select(store_now()).scalar_subquery()

_state = locked()
_LOCK = select(*record_columns(_state)).join_from(_state, tasks, tasks.c.id == _state.c.task_id)

_parents = states.alias("parents")
_PARENT_AT_WORK = (
    exists()
    .where(tasks.c.id == states.c.task_id, _parents.c.task_id == tasks.c.parent_id)
    .where(not_(_parents.c.status.in_(sorted(TERMINAL))))
    .correlate(states)
)
_over = (
    select(states)
    .where(states.c.retained_until <= _now, not_(_PARENT_AT_WORK))
    .order_by(states.c.retained_until)
    .limit(bindparam("most", type_=Integer))
    .with_for_update(of=states, skip_locked=True)
    .subquery("over")
)
OVER = select(*record_columns(_over)).join_from(_over, tasks, tasks.c.id == _over.c.task_id)

_DELETE = tuple(
    delete(column.table).where(column.in_(select(TASK_IDS.c.task_id)))
    for column in (events.c.task_id, tasks.c.id, states.c.task_id)
)
# Only on request: what is still on its way when the task's time is over arrives all the same.
_DELETE_DELIVERIES = delete(deliveries).where(deliveries.c.task_id.in_(select(TASK_IDS.c.task_id)))
_FORGET_WORKERS = delete(workers).where(
    workers.c.lease_until < _now - length_ms(_WORKERS_REMEMBERED),
    not_(exists().where(states.c.worker_id == workers.c.id, IS_HELD)),
)


def forget(connection: Connection, tenant: str, task_id: TaskId) -> Record | None:
    """See `Store.forget`."""
    row = connection.execute(_LOCK, TASK_IDS.values([task_id])).first()
    record = None if row is None else read_record(row)
    if record is None or record.tenant != tenant:
        return None
    if record.status.done:
        _delete(connection, [record])
        connection.execute(_DELETE_DELIVERIES, TASK_IDS.values([task_id]))
    return record


def purge(connection: Connection, limit: int) -> int:
    """See `Store.purge`. Children are kept while their parent is at work: it may ask for their results again."""
    over = _affordable([read_record(row) for row in connection.execute(OVER, {"most": limit})])
    _delete(connection, over)
    connection.execute(_FORGET_WORKERS)
    return len(over)


def _affordable(records: Sequence[Record]) -> Sequence[Record]:
    total = 0
    for count, record in enumerate(records, start=1):
        total += record.seq
        if total > _MOST_EVENTS:
            return records[:count]
    return records


def _delete(connection: Connection, records: Sequence[Record]) -> None:
    if records:
        metadata.remove(connection, records)
        for statement in _DELETE:
            connection.execute(statement, TASK_IDS.values(record.id for record in records))
