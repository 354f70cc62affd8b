"""Accepting: drafts become tasks, one for each key, however many processes try at once.

The unique index on (tenant, key) is the judge: whoever inserts first has made the task; everyone else's insert does
nothing, and they read what stands there. A draft that is already in, because its caller did not hear of the commit
and asks again, stands for itself.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Integer, Text, select, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import ReturningInsert

from backhaul.core.clock import to_ms
from backhaul.core.errors import StoreUnavailable
from backhaul.core.ports.dispatch import Dispatch
from backhaul.core.ports.store import Admission
from backhaul.core.task import transitions
from backhaul.core.task.record import Draft, Snapshot, evolve
from backhaul.core.task.transitions import Change, Rules
from backhaul.store import families, joining, journal, metadata
from backhaul.store.records import read_snapshot, rounded, snapshot_columns
from backhaul.store.recordset import Recordset
from backhaul.store.schema import states, tasks
from backhaul.store.times import length_ms, milliseconds
from backhaul.store.together import Together

_Name = tuple[str, str, str]
"""What only one task may have: tenant and key, else its id."""
_Standing = tuple[Snapshot, str | None]
"""The task that has a name, and its fingerprint."""

_ROUNDS = 5

_tasks = Recordset(
    "tasks",
    id=Text,
    tenant=Text,
    kind=Text,
    queue=Text,
    key=Text,
    fingerprint=Text,
    parent_id=Text,
    replay_of=Text,
    traceparent=Text,
    webhook=Text,
    timeout_ms=BigInteger,
    grace_ms=BigInteger,
    max_attempts=Integer,
    retry_base_ms=BigInteger,
    retry_cap_ms=BigInteger,
    created_at=BigInteger,
    scheduled_for=BigInteger,
    metadata=Text,
    input=Text,
)
_states = Recordset(
    "states",
    task_id=Text,
    tenant=Text,
    kind=Text,
    version=Text,
    queue=Text,
    priority=Integer,
    status=Text,
    seq=BigInteger,
    not_before=BigInteger,
    expires_at=BigInteger,
    replies=Text,
    called_in=Integer,
)
_names = Recordset("names", tenant=Text, key=Text, id=Text)


def _insert_states(new: ColumnElement[bool]) -> ReturningInsert[str]:
    """A state for each task that is `new`."""
    given = select(_states.table).where(new)
    return insert(states).from_select(_states.names, given).on_conflict_do_nothing().returning(states.c.task_id)


_INSERT_TASKS = (
    insert(tasks)
    .from_select(_tasks.names, select(_tasks.table).where(true()))  # SQLite reads ON CONFLICT only behind a WHERE
    .on_conflict_do_nothing()
)
_new = _INSERT_TASKS.returning(tasks.c.id).cte("new")
_INSERT = Together(
    _INSERT_TASKS,
    last=_insert_states(_states.c.task_id.in_(select(tasks.c.id))),
    joined=_insert_states(_states.c.task_id.in_(select(_new.c.id))),
)
"""Answers the ids of the tasks that are new."""

_SNAPSHOTS = select(*snapshot_columns(), tasks.c.fingerprint).join_from(tasks, states, tasks.c.id == states.c.task_id)
_BY_KEY = _SNAPSHOTS.join(_names.table, (tasks.c.tenant == _names.c.tenant) & (tasks.c.key == _names.c.key))
_BY_ID = _SNAPSHOTS.join(_names.table, tasks.c.id == _names.c.id)


def accept(connection: Connection, drafts: Sequence[Draft], rules: Rules) -> tuple[list[Admission], Dispatch]:
    """See `Store.accept`."""
    drafts = [_rounded(draft) for draft in drafts]
    welcome = _welcome(connection, drafts)
    changes, standing = _stand(connection, [draft for draft in welcome if draft is not None])
    admissions = [
        _turned_away(draft) if admitted is None else _admission(admitted, standing[_name(admitted)])
        for draft, admitted in zip(drafts, welcome, strict=True)
    ]
    joined = joining.join(connection, welcome, admissions, rules)
    return admissions, journal.write(connection, [*changes, *joined])


def _rounded(draft: Draft) -> Draft:
    record = rounded(draft.record)
    return draft if record is draft.record else replace(draft, record=record)


def _welcome(connection: Connection, drafts: Sequence[Draft]) -> list[Draft | None]:
    """The drafts, those of callers in the tenant of their task; None for those whose caller is over."""
    tenants = families.tenants(connection, (draft.caller for draft in drafts if draft.caller is not None))
    return [draft if draft.caller is None else _under(draft, tenants.get(draft.caller)) for draft in drafts]


def _under(draft: Draft, tenant: str | None) -> Draft | None:
    return None if tenant is None else replace(draft, record=evolve(draft.record, tenant=tenant))


def _stand(connection: Connection, drafts: Sequence[Draft]) -> tuple[list[Change], dict[_Name, _Standing]]:
    """What was made of the drafts, and the task that stands for each."""
    named: dict[_Name, Draft] = {}
    for draft in drafts:
        named.setdefault(_name(draft), draft)
    standing: dict[_Name, _Standing] = {}
    changes: list[Change] = []
    for _ in range(_ROUNDS):  # more than one only if the task with that key is deleted while we look at it
        missing = [named[name] for name in sorted(named.keys() - standing.keys())]
        if not missing:
            break
        made = _insert(connection, missing)
        changes += made
        standing |= _made(missing, made)
        standing |= _found(connection, [draft for draft in missing if _name(draft) not in standing])
    else:
        raise StoreUnavailable("the tasks with some keys were deleted as fast as they were asked for: try again")
    return changes, standing


def _name(draft: Draft) -> _Name:
    """Sorted by it, two batches with the same keys never wait for each other in a circle."""
    record = draft.record
    return ("", "", record.id) if record.key is None else (record.tenant, record.key, "")


def _turned_away(draft: Draft) -> Admission:
    return Admission(Snapshot(draft.record, draft.input), stale=True)


def _admission(draft: Draft, standing: _Standing) -> Admission:
    snapshot, fingerprint = standing
    replayed = snapshot.record.id != draft.record.id
    return Admission(snapshot, replayed, conflict=replayed and fingerprint != draft.fingerprint)


def _insert(connection: Connection, drafts: Sequence[Draft]) -> list[Change]:
    changes = [transitions.accept(draft) for draft in drafts]
    made = _INSERT.execute(connection, _tasks.rows(map(_task_row, drafts)), _states.rows(map(_state_row, changes)))
    new = set(made.scalars())
    changes = [change for change in changes if change.record.id in new]
    metadata.add(connection, [change.record for change in changes])
    return changes


def _made(drafts: Sequence[Draft], changes: Sequence[Change]) -> dict[_Name, _Standing]:
    records = {change.record.id: change.record for change in changes}
    return {
        _name(draft): (Snapshot(records[draft.record.id], draft.input), draft.fingerprint)
        for draft in drafts
        if draft.record.id in records
    }


def _found(connection: Connection, drafts: Sequence[Draft]) -> dict[_Name, _Standing]:
    found: dict[_Name, _Standing] = {}
    keyed = [draft for draft in drafts if draft.record.key is not None]
    for statement, wanted in ((_BY_KEY, keyed), (_BY_ID, [draft for draft in drafts if draft.record.key is None])):
        if wanted:
            for row in connection.execute(statement, _names.rows(map(_name_row, wanted))):
                snapshot = read_snapshot(row)
                found[_name(Draft(snapshot.record, snapshot.input, None))] = (snapshot, row[-1])
    return found


def _name_row(draft: Draft) -> dict[str, Any]:
    return {"tenant": draft.record.tenant, "key": draft.record.key, "id": draft.record.id}


def _task_row(draft: Draft) -> dict[str, Any]:
    record = draft.record
    return {
        "id": record.id,
        "tenant": record.tenant,
        "kind": record.kind,
        "queue": record.queue,
        "key": record.key,
        "fingerprint": draft.fingerprint,
        "parent_id": record.parent_id,
        "replay_of": record.replay_of,
        "traceparent": record.traceparent,
        "webhook": record.webhook,
        "timeout_ms": length_ms(record.timeout),
        "grace_ms": length_ms(record.grace),
        "max_attempts": record.max_attempts,
        "retry_base_ms": length_ms(record.retry_base),
        "retry_cap_ms": length_ms(record.retry_cap),
        "created_at": to_ms(record.created_at),
        "scheduled_for": milliseconds(record.scheduled_for),
        "metadata": record.metadata,
        "input": draft.input,
    }


def _state_row(change: Change) -> dict[str, Any]:
    record = change.record
    return {
        "task_id": record.id,
        "tenant": record.tenant,
        "kind": record.kind,
        "version": record.version,
        "queue": record.queue,
        "priority": record.priority,
        "status": str(record.status),
        "seq": record.seq,
        "not_before": milliseconds(record.not_before),
        "expires_at": milliseconds(record.expires_at),
        "replies": record.replies,
        "called_in": record.called_in,
    }
