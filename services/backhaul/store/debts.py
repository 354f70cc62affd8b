"""What is owed to the broker and was not published: found in the outbox, read again, and forgotten when it is paid.

Never by a cursor over ids: a transaction that commits late may carry a smaller one than its neighbours.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, Connection, Integer, Text, bindparam, delete, func, select, update

from backhaul.core.ports.dispatch import Children, Dispatch, Happening, Token
from backhaul.core.task.record import Event
from backhaul.store.functions import store_now
from backhaul.store.records import EVENT_COLUMNS, TASK_IDS, read_event, read_record, record_columns
from backhaul.store.recordset import Recordset
from backhaul.store.schema import events, outbox, states, tasks
from backhaul.store.times import length_ms
from backhaul_contracts import codec
from backhaul_contracts.ids import TaskId

_TO_PUBLISH = timedelta(seconds=30)
"""How long a sweeper keeps others off what it has taken."""
_HEAVIEST = 32 * 1024 * 1024
"""Characters of events that are handed out together, unless one transaction alone has made more."""

_now = select(store_now()).scalar_subquery()
_OWED = (
    select(outbox.c.id, outbox.c.payload)
    .where(outbox.c.created_at <= _now - bindparam("age_ms", type_=BigInteger), outbox.c.claimed_until <= _now)
    .order_by(outbox.c.id)
    .limit(bindparam("most", type_=Integer))
    .with_for_update(skip_locked=True)
)

_ids = Recordset("outbox_ids", id=BigInteger)
_CLAIM = (
    update(outbox).values(claimed_until=store_now() + length_ms(_TO_PUBLISH)).where(outbox.c.id.in_(select(_ids.c.id)))
)
_SETTLE = delete(outbox).where(outbox.c.id.in_(select(_ids.c.id)))

_seqs = Recordset("seqs", task_id=Text, seq=BigInteger)
_named = (events.c.task_id == _seqs.c.task_id) & (events.c.seq == _seqs.c.seq)
_EVENTS = select(*EVENT_COLUMNS).join_from(_seqs.table, events, _named)
_SIZES = select(events.c.task_id, events.c.seq, func.length(events.c.data)).join_from(_seqs.table, events, _named)
_RECORDS = (
    select(*record_columns())
    .join_from(TASK_IDS.table, tasks, tasks.c.id == TASK_IDS.c.task_id)
    .join(states, states.c.task_id == TASK_IDS.c.task_id)
)


def owed(connection: Connection, age: timedelta, limit: int) -> list[Dispatch]:
    """See `Store.owed`. What became of deleted tasks is owed no longer."""
    found = connection.execute(_OWED, {"age_ms": length_ms(age), "most": limit}).all()
    if not found:
        return []
    payloads = _bearable(connection, {str(outbox_id): codec.loads(payload) for outbox_id, payload in found})
    connection.execute(_CLAIM, _ids.values(map(int, payloads)))
    happenings = _happenings(connection, [pair for payload in payloads.values() for pair in payload["events"]])
    return [
        Dispatch(
            outbox_id,
            tuple(Token(queue, TaskId(task_id)) for queue, task_id in payload["tokens"]),
            tuple(happenings[task_id, seq] for task_id, seq in payload["events"] if (task_id, seq) in happenings),
            tuple(_children(*some) for some in payload.get("children", ())),
        )
        for outbox_id, payload in payloads.items()
    ]


def _bearable(connection: Connection, payloads: dict[str, Any]) -> dict[str, Any]:
    """The first of these, as many as can be held in memory together: events may carry results of a megabyte each."""
    pairs = [pair for payload in payloads.values() for pair in payload["events"]]
    sizes = {(task_id, seq): size for task_id, seq, size in connection.execute(_SIZES, _given(pairs))}
    bearable: dict[str, Any] = {}
    total = 0
    for outbox_id, payload in payloads.items():
        total += sum(sizes.get((task_id, seq), 0) for task_id, seq in payload["events"])
        if bearable and total > _HEAVIEST:
            break
        bearable[outbox_id] = payload
    return bearable


def _children(parent_id: str, attempt: int, after: str, only: Sequence[str] | None) -> Children:
    return Children(TaskId(parent_id), attempt, after, None if only is None else tuple(map(TaskId, only)))


def settle(connection: Connection, outbox_ids: Sequence[str]) -> None:
    """See `Store.settle`."""
    connection.execute(_SETTLE, _ids.values(int(outbox_id) for outbox_id in outbox_ids))


def _happenings(connection: Connection, pairs: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Happening]:
    logged = _events(connection, pairs)
    task_ids = TASK_IDS.values(dict.fromkeys(event.task_id for event in logged))
    records = {record.id: record for record in map(read_record, connection.execute(_RECORDS, task_ids))}
    return {
        (event.task_id, event.seq): Happening(records[event.task_id], event)
        for event in logged
        if event.task_id in records
    }


def _events(connection: Connection, pairs: Sequence[tuple[str, int]]) -> list[Event]:
    if not pairs:
        return []
    return [read_event(row) for row in connection.execute(_EVENTS, _given(pairs))]


def _given(pairs: Iterable[tuple[str, int]]) -> dict[str, str]:
    return _seqs.rows({"task_id": task_id, "seq": seq} for task_id, seq in pairs)
