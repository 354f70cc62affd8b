"""Reading: one task, its log, and how far tasks are."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection, Integer, bindparam, case, func, select

from backhaul.core.clock import from_ms
from backhaul.core.task.record import Event, Record, Snapshot
from backhaul.store.functions import store_now, stored_size
from backhaul.store.records import (
    EVENT_COLUMNS,
    TASK_IDS,
    read_event,
    read_record,
    read_snapshot,
    record_columns,
    snapshot_columns,
)
from backhaul.store.schema import events, states, tasks, workers
from backhaul.store.times import length_ms
from backhaul_contracts.events import LARGEST_PAGE
from backhaul_contracts.ids import TaskId
from backhaul_contracts.listings import WorkerInfo
from backhaul_contracts.tasks import TERMINAL

_REMEMBERED = timedelta(days=1)


SNAPSHOT = (
    select(*snapshot_columns())
    .join_from(tasks, states, states.c.task_id == tasks.c.id)
    .where(tasks.c.id == bindparam("task_id"), tasks.c.tenant == bindparam("tenant"))
)
SNAPSHOTS = (
    select(*snapshot_columns())
    .join_from(TASK_IDS.table, tasks, tasks.c.id == TASK_IDS.c.task_id)
    .join(states, states.c.task_id == TASK_IDS.c.task_id)
)
RECORDS = (
    select(*record_columns())
    .join_from(TASK_IDS.table, tasks, tasks.c.id == TASK_IDS.c.task_id)
    .join(states, states.c.task_id == TASK_IDS.c.task_id)
)
_size = stored_size(events.c.data)
_sized = (
    select(*EVENT_COLUMNS, (func.sum(_size).over(order_by=events.c.seq) - _size).label("before"))
    .where(events.c.task_id == bindparam("task_id"), events.c.seq > bindparam("after"))
    .order_by(events.c.seq)
    .limit(bindparam("most", type_=Integer))
    .subquery()
)
EVENTS = (
    select(*(_sized.c[column.name] for column in EVENT_COLUMNS))
    .where(_sized.c.before < LARGEST_PAGE)
    .order_by(_sized.c.seq)
)
SEQS = select(states.c.task_id, states.c.seq).join(TASK_IDS.table, states.c.task_id == TASK_IDS.c.task_id)
UNFINISHED = (
    select(states.c.task_id)
    .join(TASK_IDS.table, states.c.task_id == TASK_IDS.c.task_id)
    .where(states.c.status.not_in(sorted(TERMINAL)))
)
WORKERS = (
    select(
        workers.c.id,
        workers.c.service,
        workers.c.version,
        workers.c.slots,
        workers.c.running,
        case((workers.c.lease_until <= store_now(), "lost"), (workers.c.drain, "draining"), else_=workers.c.state),
        workers.c.heartbeat_at,
    )
    .where(workers.c.heartbeat_at > store_now() - length_ms(_REMEMBERED), workers.c.state != "gone")
    .order_by(workers.c.id)
)


def snapshot(connection: Connection, tenant: str, task_id: TaskId) -> Snapshot | None:
    """See `Store.snapshot`."""
    row = connection.execute(SNAPSHOT, {"tenant": tenant, "task_id": task_id}).first()
    return None if row is None else read_snapshot(row)


def snapshots(connection: Connection, task_ids: Sequence[TaskId]) -> list[Snapshot]:
    """The tasks of these ids that exist, in the order of the ids."""
    if not task_ids:
        return []
    found = connection.execute(SNAPSHOTS, TASK_IDS.values(task_ids))
    by_id = {snapshot.record.id: snapshot for snapshot in map(read_snapshot, found)}
    return [by_id[task_id] for task_id in task_ids if task_id in by_id]


def records(connection: Connection, task_ids: Sequence[TaskId]) -> list[Record]:
    """See `Store.records`."""
    return [read_record(row) for row in connection.execute(RECORDS, TASK_IDS.values(task_ids))]


def read_events(connection: Connection, task_id: TaskId, after: int, limit: int) -> list[Event]:
    """See `Store.events`."""
    found = connection.execute(EVENTS, {"task_id": task_id, "after": after, "most": limit})
    return [read_event(row) for row in found]


def seqs(connection: Connection, task_ids: Sequence[TaskId]) -> dict[TaskId, int]:
    """See `Store.seqs`."""
    found = connection.execute(SEQS, TASK_IDS.values(task_ids))
    return {TaskId(task_id): seq for task_id, seq in found}


def unfinished(connection: Connection, task_ids: Sequence[TaskId]) -> set[TaskId]:
    """See `Store.unfinished`."""
    return set(map(TaskId, connection.execute(UNFINISHED, TASK_IDS.values(task_ids)).scalars()))


def read_workers(connection: Connection) -> list[WorkerInfo]:
    """See `Store.workers`. One that has said farewell is not one any more."""
    return [
        WorkerInfo(
            id=worker_id,
            service=service,
            version=version,
            slots=slots,
            running=running,
            state=state,
            last_heartbeat=from_ms(heartbeat_ms),
        )
        for worker_id, service, version, slots, running, state, heartbeat_ms in connection.execute(WORKERS)
    ]
