"""Queues: where tasks wait to be claimed, and whether they may be."""

from sqlalchemy import Connection, Integer, Text, bindparam, cast, func, select
from sqlalchemy.dialects.postgresql import insert

from backhaul.store.schema import IS_QUEUED, queues, states
from backhaul_contracts.ids import TaskId

_MOST = 1_000

_PAUSE = insert(queues).values(name=bindparam("name"), paused=bindparam("paused"))
_SET_PAUSED = _PAUSE.on_conflict_do_update(index_elements=[queues.c.name], set_={"paused": _PAUSE.excluded.paused})

# One step along the index for each queue, not one for each task: queues are few and tasks are many.
_first = select(func.min(states.c.queue).label("queue")).where(IS_QUEUED).cte("waiting", recursive=True)
_next = select(func.min(states.c.queue)).where(IS_QUEUED, states.c.queue > _first.c.queue).scalar_subquery()
_WAITING = _first.union_all(select(_next).where(_first.c.queue.is_not(None)))
_rows = (
    select(states.c.task_id)
    .where(IS_QUEUED, states.c.queue == _WAITING.c.queue)
    .limit(bindparam("most", type_=Integer))
    .correlate(_WAITING)
    .subquery("waiting_in_queue")
)
_number = select(func.count()).select_from(_rows).correlate(_WAITING).scalar_subquery()
COUNTED = select(_WAITING.c.queue, _number.label("waiting")).where(_WAITING.c.queue.is_not(None))
# Both in one text, since a scalar is all that one walk along the index can give on SQLite, too.
_found = cast(func.count(), Text).concat(" ").concat(func.min(_rows.c.task_id))
_number_and_oldest = select(_found).select_from(_rows).correlate(_WAITING).scalar_subquery()
_STANDING = select(_WAITING.c.queue, _number_and_oldest).where(_WAITING.c.queue.is_not(None))
CLAIMABLE = COUNTED.where(
    _WAITING.c.queue.not_in(select(queues.c.name).where(queues.c.paused)),
)


def claimable(connection: Connection) -> dict[str, int]:
    """See `Store.claimable`."""
    return {row.queue: row.waiting for row in connection.execute(CLAIMABLE, {"most": _MOST})}


def lengths(connection: Connection, most: int) -> dict[str, tuple[int, TaskId]]:
    """Of every queue that a task waits in: how many do, up to `most`, and the oldest of these."""
    found = [(queue, text.partition(" ")) for queue, text in connection.execute(_STANDING, {"most": most}) if text]
    return {queue: (int(number), TaskId(oldest)) for queue, (number, _, oldest) in found}


def waiting(connection: Connection, most: int) -> dict[str, int]:
    """See `Store.waiting`."""
    return {row.queue: row.waiting for row in connection.execute(COUNTED, {"most": most})}


def set_paused(connection: Connection, queue: str, paused: bool) -> None:
    """From the next claim on, grant nothing of this queue, or grant it again."""
    connection.execute(_SET_PAUSED, {"name": queue, "paused": paused})
