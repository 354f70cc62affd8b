"""Changing: the rows of tasks are locked and read, and written back after their transitions."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Integer, Subquery, Text, func, select, update

from backhaul.core.record import Record
from backhaul.core.transitions import Change
from backhaul.store.recordset import recordset, rows
from backhaul.store.schema import states
from backhaul.store.times import milliseconds

_wanted = recordset(task_id=Text)
_given = recordset(
    task_id=Text,
    status=Text,
    attempt=Integer,
    failures=Integer,
    losses=Integer,
    seq=BigInteger,
    number=BigInteger,
    keep_through=BigInteger,
    token=Text,
    worker_id=Text,
    claim_id=Text,
    claim_beat=BigInteger,
    not_before=BigInteger,
    started_at=BigInteger,
    finished_at=BigInteger,
    expires_at=BigInteger,
    retained_until=BigInteger,
    cancel_requested_at=BigInteger,
    cancel_reason=Text,
    cancel_outcome=Text,
    progress=Text,
    error=Text,
    checkpoint=Text,
    result=Text,
)
_PAYLOADS = ("checkpoint", "result")

_UPDATE = (
    update(states)
    .where(states.c.task_id == _given.c.task_id)
    .values({name: column for name, column in _given.c.items() if name not in ("task_id", *_PAYLOADS)})
    .values({name: func.coalesce(_given.c[name], states.c[name]) for name in _PAYLOADS})
)


def locked(*conditions: ColumnElement[bool], skip_locked: bool = False) -> Subquery:
    """The states of the tasks whose ids are handed in (`wanted`), locked one by one in the order of their ids."""
    return (
        select(states)
        .join(_wanted, states.c.task_id == _wanted.c.task_id)
        .where(*conditions)
        .order_by(states.c.task_id)
        .with_for_update(of=states, skip_locked=skip_locked)
        .subquery("locked")
    )


def wanted(task_ids: Iterable[str]) -> dict[str, str]:
    """The parameters of a statement over `locked`, or over any recordset of task ids."""
    return rows({"task_id": task_id} for task_id in task_ids)


def save(connection: Connection, changes: Sequence[Change]) -> None:
    """Write what the changes, in their order, have made of their tasks. This transaction must hold the locks."""
    records = {change.record.id: change.record for change in changes}
    checkpoints = {change.record.id: change.checkpoint for change in changes if change.checkpoint is not None}
    results = {change.record.id: change.result for change in changes if change.result is not None}
    if not records:
        return
    written = [_row(record) for record in records.values()]
    for row in written:
        row["checkpoint"] = checkpoints.get(row["task_id"])
        row["result"] = results.get(row["task_id"])
    connection.execute(_UPDATE, rows(written))


def _row(record: Record) -> dict[str, Any]:
    return {
        "task_id": record.id,
        "status": record.status,
        "attempt": record.attempt,
        "failures": record.failures,
        "losses": record.losses,
        "seq": record.seq,
        "number": record.number,
        "keep_through": record.keep_through,
        "token": record.token,
        "worker_id": record.worker_id,
        "claim_id": record.claim_id,
        "claim_beat": record.claim_beat,
        "not_before": milliseconds(record.not_before),
        "started_at": milliseconds(record.started_at),
        "finished_at": milliseconds(record.finished_at),
        "expires_at": milliseconds(record.expires_at),
        "retained_until": milliseconds(record.retained_until),
        "cancel_requested_at": milliseconds(record.cancel_requested_at),
        "cancel_reason": record.cancel_reason,
        "cancel_outcome": record.cancel_outcome,
        "progress": record.progress,
        "error": record.error,
    }
