"""What a transaction has done to tasks, written down: their events in the log, and what is owed in the outbox.

The outbox gets one row for a whole transaction, not one for each message: it is deleted as soon as the broker has
confirmed, so it should cost little. Its id is given while the changed tasks are locked, and so ids order what is owed
on one task as it was committed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import BigInteger, Connection, CursorResult, Integer, Text, exists, insert, select

from backhaul.core.clock import to_ms
from backhaul.core.ports.dispatch import Children, Dispatch, Happening, Token
from backhaul.core.task.record import Event, Record
from backhaul.core.task.transitions import Change
from backhaul.store import notifying
from backhaul.store.functions import store_now
from backhaul.store.recordset import Recordset
from backhaul.store.schema import IS_ENABLED, endpoints, events, outbox
from backhaul.store.together import Together
from backhaul_contracts import codec
from backhaul_contracts.ids import TaskId
from backhaul_contracts.tasks import Status

_events = Recordset("events", task_id=Text, seq=BigInteger, attempt=Integer, type=Text, time=BigInteger, data=Text)
_debts = Recordset("debts", payload=Text)

LOG = insert(events).from_select(_events.names, select(_events.table))
OWE = (
    insert(outbox)
    .from_select(["created_at", "payload"], select(store_now(), _debts.c.payload))
    .returning(outbox.c.id, exists(select(endpoints.c.id).where(IS_ENABLED)).label("heard"))
)
"""Answers the id of what is owed, and whether any endpoint hears of events; nothing if nothing is owed.

Whatever a webhook may tell is owed to the broker, too: so to know that there is none costs no statement of its own.
"""


_WRITE = Together(LOG, last=OWE)


def write(connection: Connection, changes: Sequence[Change]) -> Dispatch:
    """Write down what follows from the acceptance of new tasks."""
    found = dispatch(changes)
    if not changes:
        return found
    return written(connection, _WRITE.execute(connection, logged(found), owed(found)), found)


def dispatch(changes: Sequence[Change], waiting: Sequence[Record] = (), children: Sequence[Children] = ()) -> Dispatch:
    """What the changes, which stand in order, oblige to, beside tokens for tasks that are `waiting` and the cancelling
    of `children`. Its id is not known before it is written."""
    happenings = tuple([Happening(change.record, event) for change in changes for event in change.events])
    return Dispatch(None, (*_tokens(changes), *map(_token, waiting)), happenings, tuple(children))


def logged(dispatch: Dispatch) -> Mapping[str, Any]:
    """The parameters of `LOG`."""
    return _events.rows([_row(happening.event) for happening in dispatch.happenings])


def owed(dispatch: Dispatch) -> Mapping[str, Any]:
    """The parameters of `OWE`."""
    public = [happening.event for happening in dispatch.happenings if happening.event.type.public]
    if not (dispatch.tokens or public or dispatch.children):
        return _debts.rows([])
    payload: dict[str, Any] = {
        "tokens": [[token.queue, token.task_id] for token in dispatch.tokens],
        "events": [[event.task_id, event.seq] for event in public],
    }
    if dispatch.children:
        payload["children"] = [[some.parent_id, some.attempt, some.after, some.only] for some in dispatch.children]
    return _debts.rows([{"payload": codec.dumps(payload).decode()}])


def written(connection: Connection, answer: CursorResult[Any], dispatch: Dispatch) -> Dispatch:
    """The dispatch as it was written, of which `OWE` has answered this. Webhooks have got their deliveries."""
    row = answer.first()
    if row is None:
        return under(None, dispatch)
    notifying.record(connection, dispatch.happenings, heard=bool(row.heard))
    return under(row.id, dispatch)


def under(outbox_id: int | None, dispatch: Dispatch) -> Dispatch:
    """The dispatch as it stands in the outbox."""
    return replace(dispatch, outbox_id=None if outbox_id is None else str(outbox_id))


def _tokens(changes: Sequence[Change]) -> tuple[Token, ...]:
    """One for each task that has become claimable, and has not moved on in the same transaction."""
    tokens: dict[TaskId, Token] = {}
    for change in changes:
        record = change.record
        if record.status is not Status.QUEUED:
            tokens.pop(record.id, None)
        elif change.events:  # else somebody has joined it, and its token is out
            tokens[record.id] = _token(record)
    return tuple(tokens.values())


def _token(record: Record) -> Token:
    return Token(record.queue, record.id)


def _row(event: Event) -> dict[str, Any]:
    return {
        "task_id": event.task_id,
        "seq": event.seq,
        "attempt": event.attempt,
        "type": str(event.type),
        "time": to_ms(event.time),
        "data": event.data,
    }
