"""Leases: a worker's signs of life, and what it holds by them.

A lease lies on the worker, not on its tasks: one row is written for each beat, however much the worker holds. The row
of a worker that has said farewell stays as it is, so that whatever was still on its way from it finds it gone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Integer,
    Text,
    bindparam,
    case,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from backhaul.core.ports.store import Leases
from backhaul.core.task.commands import Lose
from backhaul.core.task.record import Record
from backhaul.store.functions import store_now
from backhaul.store.records import read_record, record_columns
from backhaul.store.recordset import Recordset
from backhaul.store.schema import IS_HELD, states, tasks, workers
from backhaul.store.times import length_ms
from backhaul_contracts.beats import Beat
from backhaul_contracts.ids import TaskId

_beats = Recordset(
    "beats",
    id=Text,
    service=Text,
    version=Text,
    slots=Integer,
    running=Integer,
    state=Text,
    announced=Boolean,
    lease_ms=BigInteger,
)
_claimants = Recordset("claimants", id=Text, lease_ms=BigInteger)
_ids = Recordset("worker_ids", id=Text)

_new = insert(workers).excluded
IS_GONE = workers.c.state == literal_column("'gone'")
IS_ALIVE = ~IS_GONE & (workers.c.lease_until > store_now())
_longer = case(
    (_new.state == literal_column("'gone'"), _new.lease_until),
    (workers.c.lease_until > _new.lease_until, workers.c.lease_until),
    else_=_new.lease_until,
)
_until = store_now() + _claimants.c.lease_ms

EXTEND = (
    update(workers)
    .where(workers.c.id == _claimants.c.id, IS_ALIVE)
    .values(lease_until=case((workers.c.lease_until > _until, workers.c.lease_until), else_=_until))
    .returning(workers.c.id)
)
"""The workers whose lease it extends: only those that are alive."""

_DESCRIBED = ("service", "version", "slots", "running", "state")
_BEAT = (
    insert(workers)
    .from_select(
        ["id", *_DESCRIBED, "announced", "heartbeat_at", "lease_until"],
        select(
            _beats.c.id,
            *(_beats.c[name] for name in _DESCRIBED),
            _beats.c.announced,
            store_now(),
            store_now() + _beats.c.lease_ms,
        ).where(true()),
    )
    .on_conflict_do_update(
        index_elements=[workers.c.id],
        set_={
            **{name: _new[name] for name in (*_DESCRIBED, "heartbeat_at")},
            "announced": workers.c.announced | _new.announced,
            "lease_until": _longer,
        },
        where=~IS_GONE,
    )
    .returning(workers.c.id, workers.c.announced, workers.c.drain)
)
_HELD_BY = (
    select(*record_columns())
    .join_from(_ids.table, states, states.c.worker_id == _ids.c.id)
    .join(tasks, tasks.c.id == states.c.task_id)
    .where(IS_HELD)
)

_LAPSED = (
    select(states.c.task_id, states.c.attempt)
    .join_from(states, workers, workers.c.id == states.c.worker_id, isouter=True)
    .where(IS_HELD, workers.c.id.is_(None) | (workers.c.lease_until <= store_now()))
    .limit(bindparam("most", type_=Integer))
)
_DRAIN = update(workers).where(workers.c.id == bindparam("worker_id"), ~IS_GONE).values(drain=true())
_END = update(workers).where(IS_ALIVE).values(lease_until=store_now())


def extended(worker_ids: Iterable[str], lease: timedelta) -> dict[str, str]:
    """The parameters of `EXTEND`."""
    return _claimants.rows({"id": worker_id, "lease_ms": length_ms(lease)} for worker_id in sorted(worker_ids))


def beat(connection: Connection, beats: Sequence[Beat], lease: timedelta) -> list[Leases]:
    """See `Store.beat`."""
    latest = {beat.worker_id: beat for beat in sorted(beats, key=lambda beat: beat.number)}
    announcing = {beat.worker_id for beat in beats if beat.announcement is not None}
    given = [
        {
            "id": beat.worker_id,
            "service": beat.service,
            "version": beat.version,
            "slots": beat.slots,
            "running": beat.running,
            "state": beat.state,
            "announced": beat.worker_id in announcing,
            "lease_ms": 0 if beat.state == "gone" else length_ms(lease),
        }
        for _, beat in sorted(latest.items())
    ]
    told = connection.execute(_BEAT, _beats.rows(given)).all()
    known = {row.id for row in told if row.announced}
    drained = {row.id for row in told if row.drain}
    held: dict[str | None, list[Record]] = {}
    for record in map(read_record, connection.execute(_HELD_BY, _ids.values(latest))):
        held.setdefault(record.worker_id, []).append(record)
    return [
        replace(
            _leases(beat, beat.worker_id in known, held.get(beat.worker_id, ())),
            drain=beat.worker_id in drained,
        )
        for beat in beats
    ]


def _leases(beat: Beat, known: bool, held: Iterable[Record]) -> Leases:
    """What the record says the worker holds, split by what its beat knows of it."""
    listed = {(one.task_id, one.attempt): one.token for one in beat.held}
    pending = set(beat.claims) if beat.state != "gone" else set()
    current: dict[TaskId, Record] = {}
    unclaimed: list[Record] = []
    for record in held:
        if (record.id, record.attempt) in listed:
            if listed[record.id, record.attempt] == record.token:
                current[record.id] = record
        elif record.claim_id not in pending and record.claim_beat < beat.number:
            unclaimed.append(record)
    if beat.state == "gone":
        return Leases(beat.worker_id, known, unclaimed=tuple(unclaimed), left=tuple(current.values()))
    return Leases(beat.worker_id, known, current, tuple(unclaimed))


def lapsed(connection: Connection, limit: int) -> list[Lose]:
    """See `Store.lapsed`. An attempt of a worker that nobody remembers has lapsed too."""
    return [Lose(TaskId(task_id), attempt) for task_id, attempt in connection.execute(_LAPSED, {"most": limit})]


def drain(connection: Connection, worker_id: str) -> None:
    """See `Store.drain`."""
    connection.execute(_DRAIN, {"worker_id": worker_id})


def end(connection: Connection) -> None:
    """See `Store.end_leases`."""
    connection.execute(_END)
