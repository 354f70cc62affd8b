"""Advancing: commands are applied to locked rows, one after another, through the state machine."""

from collections.abc import Collection, Mapping, Sequence
from typing import cast

from sqlalchemy import Connection, Text, select

from backhaul.core.clock import from_ms
from backhaul.core.ports.dispatch import Children, Dispatch
from backhaul.core.task import transitions
from backhaul.core.task.commands import Command, Lose, TakeBack
from backhaul.core.task.record import Record
from backhaul.core.task.transitions import Change, Refusal, Rules
from backhaul.store import families
from backhaul.store.changing import locked, write
from backhaul.store.functions import store_now
from backhaul.store.records import TASK_IDS, read_record, record_columns
from backhaul.store.recordset import Recordset
from backhaul.store.schema import tasks, workers
from backhaul_contracts.ids import TaskId
from backhaul_contracts.reports import Ruling

_states = locked()
_LOCK = select(*record_columns(_states), store_now()).join_from(_states, tasks, tasks.c.id == _states.c.task_id)

_worker_ids = Recordset("workers", id=Text)
# Shared with other losses; a beat waits for it, so that it can never answer for a lease that is being taken away.
_LEASES = (
    select(workers.c.id, workers.c.lease_until, workers.c.state)
    .join(_worker_ids.table, workers.c.id == _worker_ids.c.id)
    .order_by(workers.c.id)
    .with_for_update(of=workers, read=True)
)


def advance(
    connection: Connection, commands: Sequence[Command], rules: Rules, children: Sequence[Children] = ()
) -> tuple[list[Change | Refusal], Dispatch]:
    """See `Store.advance`. `children` are to be cancelled beside those that follow from the commands."""
    found = connection.execute(_LOCK, TASK_IDS.values({command.task_id for command in commands})).all()
    now_ms = max((row[-1] for row in found), default=0)
    now = from_ms(now_ms)
    records = {record.id: record for record in map(read_record, found)}
    alive, gone = _standing(connection, commands, records, now_ms)
    verdicts: list[Change | Refusal] = []
    changes: list[Change] = []
    for command in commands:
        record = records.get(TaskId(command.task_id))
        meant = _meant(command, record, gone)
        verdict = _refuse(record, meant, alive) or transitions.advance(cast("Record", record), meant, now, rules)
        verdicts.append(verdict)
        if isinstance(verdict, Change):
            changes.append(verdict)
            records[verdict.record.id] = verdict.record
    owed = (*families.bereft(connection, commands, verdicts), *children)
    return verdicts, write(connection, changes, children=owed)


def abandon(connection: Connection, children: Sequence[Children], rules: Rules) -> Dispatch:
    """See `Store.abandon`."""
    commands, left = families.portion(connection, children)
    _, dispatch = advance(connection, commands, rules, left)
    return dispatch


def _meant(command: Command, record: Record | None, gone: Collection[str]) -> Command:
    """A worker that has said farewell has not been lost: what it leaves is taken back."""
    if isinstance(command, Lose) and record is not None and record.worker_id in gone:
        return TakeBack(command.task_id, command.attempt)
    return command


def _refuse(record: Record | None, command: Command, alive: Collection[str]) -> Refusal | None:
    """What the state machine cannot know: whether there is such a task, and whether a lease still runs."""
    if record is None:
        return Refusal(None, Ruling.STALE, "there is no such task")
    if isinstance(command, Lose) and record.worker_id in alive:
        return Refusal(record, Ruling.STALE, f"the lease of worker {record.worker_id} has not run out")
    return None


def _standing(
    connection: Connection, commands: Sequence[Command], records: Mapping[TaskId, Record], now_ms: int
) -> tuple[set[str], set[str]]:
    """Of the workers with an attempt to lose: those whose lease still runs, and those that have said farewell."""
    suspects = {
        records[command.task_id].worker_id
        for command in commands
        if isinstance(command, Lose) and command.task_id in records
    } - {None}
    if not suspects:
        return set(), set()
    found = connection.execute(_LEASES, _worker_ids.values(suspects)).all()
    gone = {worker_id for worker_id, _, state in found if state == "gone"}
    return {worker_id for worker_id, lease_until, _ in found if lease_until > now_ms} - gone, gone
