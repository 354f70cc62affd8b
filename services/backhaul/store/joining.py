"""Joining: who submits a task again may want to hear of its end, or call for it anew."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, select

from backhaul.core.clock import from_ms
from backhaul.core.errors import StoreUnavailable
from backhaul.core.messages import replies
from backhaul.core.ports.store import Admission
from backhaul.core.task import transitions
from backhaul.core.task.commands import Join
from backhaul.core.task.record import Draft, Snapshot
from backhaul.core.task.transitions import Change, Refusal, Rules
from backhaul.store import changing
from backhaul.store.functions import store_now
from backhaul.store.records import TASK_IDS, read_snapshot, snapshot_columns
from backhaul.store.schema import tasks
from backhaul_contracts.ids import TaskId
from backhaul_contracts.reports import Ruling

_states = changing.locked()
_LOCK = select(*snapshot_columns(_states), store_now()).join_from(_states, tasks, tasks.c.id == _states.c.task_id)


def join(
    connection: Connection, drafts: Sequence[Draft | None], admissions: list[Admission], rules: Rules
) -> list[Change]:
    """Join the tasks that stand for drafts which want more than to be accepted. Their admissions are as after it."""
    joins = {
        place: wish
        for place, (draft, admission) in enumerate(zip(drafts, admissions, strict=True))
        if draft is not None and (wish := _wish(draft, admission)) is not None
    }
    snapshots, now_ms = _locked(connection, {wish.task_id for wish in joins.values()})
    changes: list[Change] = []
    for place, wish in joins.items():
        snapshot = snapshots[wish.task_id]
        verdict = transitions.advance(snapshot.record, wish, from_ms(now_ms), rules)
        if isinstance(verdict, Change):
            changes.append(verdict)
            snapshot = snapshots[wish.task_id] = replace(snapshot, record=verdict.record)
        stale = isinstance(verdict, Refusal) and verdict.ruling is Ruling.STALE
        admissions[place] = replace(admissions[place], snapshot=snapshot, stale=stale)
    changing.rewrite(connection, changes)
    return changes


def _wish(draft: Draft, admission: Admission) -> Join | None:
    if not admission.replayed or admission.conflict:
        return None
    reply = next(replies.read(draft.record.replies), None)
    attempt = draft.caller.attempt if draft.caller is not None and draft.caller.waits else 0
    return Join(admission.snapshot.record.id, reply, attempt) if reply or attempt else None


def _locked(connection: Connection, task_ids: set[TaskId]) -> tuple[dict[TaskId, Snapshot], int]:
    if not task_ids:
        return {}, 0
    rows = connection.execute(_LOCK, TASK_IDS.values(task_ids)).all()
    snapshots = {snapshot.record.id: snapshot for snapshot in map(read_snapshot, rows)}
    if snapshots.keys() != task_ids:
        raise StoreUnavailable("a task was deleted while it was submitted again: try again")
    return snapshots, max(row[-1] for row in rows)
