"""What a transaction has done to tasks, written down: their events in the log, and what is owed in the outbox.

The outbox gets one row for a whole transaction, not one for each message: it is deleted as soon as the broker has
confirmed, so it should cost little. Its id is given while the changed rows are locked, and so orders what is owed on
one task as it was committed.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Connection, Integer, Text, bindparam, insert, select

from backhaul.core.clock import to_ms
from backhaul.core.ports.store import Dispatch, Happening, Token
from backhaul.core.record import Event
from backhaul.core.transitions import Change
from backhaul.store.recordset import recordset, rows
from backhaul.store.schema import events, outbox
from backhaul.store.functions import store_now
from backhaul_contracts import codec
from backhaul_contracts.ids import TaskId
from backhaul_contracts.tasks import Status

_given = recordset(task_id=Text, seq=BigInteger, attempt=Integer, type=Text, time=BigInteger, data=Text)

_INSERT_EVENTS = insert(events).from_select(_given.c.keys(), select(_given))
_INSERT_DEBT = insert(outbox).values(created_at=store_now(), payload=bindparam("payload")).returning(outbox.c.id)


def write(connection: Connection, changes: Sequence[Change]) -> Dispatch:
    """Write down the events of `changes`, which stand in order, and return what they oblige to publish."""
    happenings = tuple([Happening(change.record, event) for change in changes for event in change.events])
    if not happenings:
        return Dispatch()
    connection.execute(_INSERT_EVENTS, rows(_row(happening.event) for happening in happenings))
    tokens = _tokens(changes)
    return Dispatch(_owe(connection, tokens, happenings), tokens, happenings)


def _row(event: Event) -> dict[str, Any]:
    return {
        "task_id": event.task_id,
        "seq": event.seq,
        "attempt": event.attempt,
        "type": event.type,
        "time": to_ms(event.time),
        "data": event.data,
    }


def _tokens(changes: Sequence[Change]) -> tuple[Token, ...]:
    """One for each task that has become claimable, and has not moved on in the same transaction."""
    tokens: dict[TaskId, Token] = {}
    for change in changes:
        record = change.record
        if record.status is Status.QUEUED:
            tokens[record.id] = Token(record.queue, record.id)
        else:
            tokens.pop(record.id, None)
    return tuple(tokens.values())


def _owe(connection: Connection, tokens: Sequence[Token], happenings: Sequence[Happening]) -> str | None:
    public = [happening.event for happening in happenings if happening.event.type.public]
    if not tokens and not public:
        return None
    payload = {
        "tokens": [[token.queue, token.task_id] for token in tokens],
        "events": [[event.task_id, event.seq] for event in public],
    }
    return str(connection.scalar(_INSERT_DEBT, {"payload": codec.dumps(payload).decode()}))
