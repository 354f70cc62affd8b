"""Families: whose attempt may make children, and whose children are cancelled with it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, Integer, Text, bindparam, exists, select

from backhaul.core.ports.dispatch import Children
from backhaul.core.task.commands import Cancel, Command
from backhaul.core.task.record import Caller
from backhaul.core.task.transitions import Change, Refusal
from backhaul.store.records import TASK_IDS
from backhaul.store.schema import states, tasks
from backhaul_contracts.ids import TaskId
from backhaul_contracts.tasks import TERMINAL, Status

PORTION = 500
"""How many children are cancelled in one transaction, and of how many families at most."""

_AT_WORK = {Status.RUNNING, Status.WAITING}
_STOPPABLE = states.c.status.not_in(sorted({*TERMINAL, Status.CANCELLING}))

# Shared with other callers. A cancel waits for it: so it finds every child of an attempt, or the child finds it.
_CALLERS = (
    select(states.c.task_id, states.c.tenant, states.c.status, states.c.attempt, states.c.token)
    .join(TASK_IDS.table, states.c.task_id == TASK_IDS.c.task_id)
    .order_by(states.c.task_id)
    .with_for_update(of=states, read=True)
)
# Calls are waited for, so that it can be seen which children a later attempt has called for.
_HOLD = (
    select(states.c.task_id)
    .join(TASK_IDS.table, states.c.task_id == TASK_IDS.c.task_id)
    .order_by(states.c.task_id)
    .with_for_update(of=states)
)
PARENTS = select(TASK_IDS.c.task_id).where(exists().where(tasks.c.parent_id == TASK_IDS.c.task_id))
_CHILDREN = (
    select(tasks.c.id)
    .join_from(tasks, states, states.c.task_id == tasks.c.id)
    .where(
        tasks.c.parent_id == bindparam("parent_id", type_=Text),
        states.c.called_in <= bindparam("attempt", type_=Integer),
        _STOPPABLE,
    )
)
CHILDREN = (
    _CHILDREN.where(tasks.c.id > bindparam("after", type_=Text))
    .order_by(tasks.c.id)
    .limit(bindparam("most", type_=Integer))
)
ONLY = _CHILDREN.join(TASK_IDS.table, tasks.c.id == TASK_IDS.c.task_id)


def tenants(connection: Connection, callers: Iterable[Caller]) -> Mapping[Caller, str]:
    """The tenants of those callers whose attempt is the current one of its task, and not asked to stop. It stays so
    until this transaction ends."""
    asked = set(callers)
    if not asked:
        return {}
    found = connection.execute(_CALLERS, TASK_IDS.values({caller.task_id for caller in asked}))
    standing = {row.task_id: row for row in found if row.status in _AT_WORK}
    return {
        caller: row.tenant
        for caller in asked
        if (row := standing.get(caller.task_id)) and (row.attempt, row.token) == (caller.attempt, caller.token)
    }


def bereft(
    connection: Connection, commands: Sequence[Command], verdicts: Sequence[Change | Refusal]
) -> Iterator[Children]:
    """The children that are to be cancelled after these commands."""
    granted = [
        (command, verdict) for command, verdict in zip(commands, verdicts, strict=True) if isinstance(verdict, Change)
    ]
    for _, change in granted:
        if change.abandoned:
            yield Children(change.record.id, change.record.attempt, only=change.abandoned)
    cancelled = {command.task_id: change.record.attempt for command, change in granted if isinstance(command, Cancel)}
    if cancelled:
        for parent_id in connection.execute(PARENTS, TASK_IDS.values(sorted(cancelled))).scalars():
            yield Children(TaskId(parent_id), cancelled[TaskId(parent_id)])


def portion(connection: Connection, children: Sequence[Children]) -> tuple[list[Command], list[Children]]:
    """What cancels the next of these children, and which are left."""
    commands: list[Command] = []
    left: list[Children] = []
    connection.execute(_HOLD, TASK_IDS.values({some.parent_id for some in children[:PORTION]})).all()
    for some in children[:PORTION]:
        room = PORTION - len(commands)
        found = _next(connection, some, room) if room else ()
        commands += [Cancel(TaskId(task_id), _reason(some)) for task_id in found]
        left += _rest(some, found, room)
    return commands, [*left, *children[PORTION:]]


def _rest(some: Children, found: Sequence[str], room: int) -> Iterator[Children]:
    """What is left of these children when `room` of them were looked for."""
    if some.only is not None:
        if len(some.only) > room:
            yield replace(some, only=some.only[room:])
    elif not room:
        yield some
    elif len(found) == room:
        yield replace(some, after=found[-1])


def _reason(children: Children) -> str:
    fate = "was cancelled" if children.only is None else "does not wait for it any longer"
    return f"Its parent {children.parent_id} {fate}."


def _next(connection: Connection, children: Children, most: int) -> Sequence[str]:
    family = {"parent_id": children.parent_id, "attempt": children.attempt}
    if children.only is not None:
        return connection.execute(ONLY, {**family, **TASK_IDS.values(children.only[:most])}).scalars().all()
    return connection.execute(CHILDREN, {**family, "after": children.after, "most": most}).scalars().all()
