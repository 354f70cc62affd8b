"""What is owed to the broker and was not published: found in the outbox, read again, and forgotten when it is paid.

Never by a cursor over ids: a transaction that commits late may carry a smaller one than its neighbours.
"""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import BigInteger, Connection, Integer, Text, bindparam, delete, select, update

from backhaul.core.ports.store import Dispatch, Happening, Token
from backhaul.core.record import Event
from backhaul.store.functions import store_now
from backhaul.store.reading import snapshots
from backhaul.store.records import EVENT_COLUMNS, read_event
from backhaul.store.recordset import Recordset
from backhaul.store.schema import events, outbox
from backhaul.store.times import length_ms
from backhaul_contracts import codec
from backhaul_contracts.ids import TaskId

_TO_PUBLISH = timedelta(seconds=30)
"""How long a sweeper keeps others off what it has taken."""

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
_EVENTS = select(*EVENT_COLUMNS).join_from(
    _seqs.table, events, (events.c.task_id == _seqs.c.task_id) & (events.c.seq == _seqs.c.seq)
)


def owed(connection: Connection, age: timedelta, limit: int) -> list[Dispatch]:
    """See `Store.owed`. What became of deleted tasks is owed no longer."""
    found = connection.execute(_OWED, {"age_ms": length_ms(age), "most": limit}).all()
    if not found:
        return []
    connection.execute(_CLAIM, _ids.values(outbox_id for outbox_id, _ in found))
    payloads = {str(outbox_id): codec.loads(payload) for outbox_id, payload in found}
    happenings = _happenings(connection, [pair for payload in payloads.values() for pair in payload["events"]])
    return [
        Dispatch(
            outbox_id,
            tuple(Token(queue, TaskId(task_id)) for queue, task_id in payload["tokens"]),
            tuple(happenings[task_id, seq] for task_id, seq in payload["events"] if (task_id, seq) in happenings),
        )
        for outbox_id, payload in payloads.items()
    ]


def settle(connection: Connection, outbox_ids: Sequence[str]) -> None:
    """See `Store.settle`."""
    connection.execute(_SETTLE, _ids.values(int(outbox_id) for outbox_id in outbox_ids))


def _happenings(connection: Connection, pairs: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Happening]:
    logged = _events(connection, pairs)
    task_ids = list(dict.fromkeys(event.task_id for event in logged))
    records = {snapshot.record.id: snapshot.record for snapshot in snapshots(connection, task_ids)}
    return {
        (event.task_id, event.seq): Happening(records[event.task_id], event)
        for event in logged
        if event.task_id in records
    }


def _events(connection: Connection, pairs: Sequence[tuple[str, int]]) -> list[Event]:
    if not pairs:
        return []
    given = _seqs.rows({"task_id": task_id, "seq": seq} for task_id, seq in pairs)
    return [read_event(row) for row in connection.execute(_EVENTS, given)]
