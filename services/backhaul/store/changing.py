"""Changing: the rows of tasks are locked, and written back after their transitions with what follows from them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Connection, Integer, Subquery, Text, func, select, update

from backhaul.core.ports.dispatch import Children, Dispatch
from backhaul.core.task.record import Record
from backhaul.core.task.transitions import Change
from backhaul.store import journal
from backhaul.store.records import TASK_IDS
from backhaul.store.recordset import Recordset
from backhaul.store.schema import states
from backhaul.store.times import milliseconds
from backhaul.store.together import Together

_states = Recordset(
    "states",
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
    replies=Text,
    called_in=Integer,
    checkpoint=Text,
    result=Text,
)
_PAYLOADS = ("checkpoint", "result")

_UPDATE = (
    update(states)
    .where(states.c.task_id == _states.c.task_id)
    .values({name: _states.c[name] for name in _states.names if name not in ("task_id", *_PAYLOADS)})
    .values({name: func.coalesce(_states.c[name], states.c[name]) for name in _PAYLOADS})
)
_WRITE = Together(_UPDATE, journal.LOG, last=journal.OWE)


def locked(*, skip_locked: bool = False) -> Subquery:
    """The states of the tasks `TASK_IDS`, locked one by one in the order of their ids."""
    return (
        select(states)
        .join(TASK_IDS.table, states.c.task_id == TASK_IDS.c.task_id)
        .order_by(states.c.task_id)
        .with_for_update(of=states, skip_locked=skip_locked)
        .subquery("locked")
    )


def rewrite(connection: Connection, changes: Sequence[Change]) -> None:
    """Write what the changes have made of their tasks, and leave it to the caller to write what follows."""
    if changes:
        connection.execute(_UPDATE, _states.rows(_last(changes)))


def write(
    connection: Connection,
    changes: Sequence[Change],
    waiting: Sequence[Record] = (),
    children: Sequence[Children] = (),
) -> Dispatch:
    """Write what the changes, in their order, have made of their tasks, which this transaction has locked.

    `waiting`: tasks that have not changed, and need a new token. `children`: those to be cancelled.
    """
    dispatch = journal.dispatch(changes, waiting, children)
    if not changes and not children:
        return dispatch
    parameters = _states.rows(_last(changes)), journal.logged(dispatch), journal.owed(dispatch)
    return journal.written(connection, _WRITE.execute(connection, *parameters), dispatch)


def _last(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """The states after all changes; a payload that none of them sets is NULL, and stays as it is."""
    records = {change.record.id: change.record for change in changes}
    checkpoints = {change.record.id: change.checkpoint for change in changes if change.checkpoint is not None}
    results = {change.record.id: change.result for change in changes if change.result is not None}
    return [_row(record, checkpoints.get(record.id), results.get(record.id)) for record in records.values()]


def _row(record: Record, checkpoint: str | None, result: str | None) -> dict[str, Any]:
    return {
        "task_id": record.id,
        "status": str(record.status),  # a member of an enum is written in more steps
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
        "replies": record.replies,
        "called_in": record.called_in,
        "checkpoint": checkpoint,
        "result": result,
    }
