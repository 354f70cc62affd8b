"""What a commit owes, and who is told of it."""

from dataclasses import dataclass

from backhaul.core.task.record import Event, Record
from backhaul_contracts.ids import TaskId


@dataclass(frozen=True, slots=True)
class Token:
    """An invitation to claim from a queue; the task is only a hint."""

    queue: str
    task_id: TaskId


@dataclass(frozen=True, slots=True)
class Happening:
    """An event together with the record of its task."""

    record: Record
    event: Event


@dataclass(frozen=True, slots=True)
class Children:
    """Children of a task that are to be cancelled: those whose ids lie behind `after`, or, if it is given, `only` some;
    and of these none that an attempt of the parent behind `attempt` has called for.

    A task may have any number of them, so they are taken in portions, each in a transaction of its own.
    """

    parent_id: TaskId
    attempt: int
    after: str = ""
    only: tuple[TaskId, ...] | None = None


@dataclass(frozen=True, slots=True)
class Dispatch:
    """What a commit owes: to the broker a token for each task that became claimable, and what happened, in order; to
    the store the cancelling of children.

    It stands in the outbox under `outbox_id` until `settle` is called with that id. `outbox_id` is None if nothing
    durable is owed: then `happenings` holds at most stream-only events.
    """

    outbox_id: str | None = None
    tokens: tuple[Token, ...] = ()
    happenings: tuple[Happening, ...] = ()
    children: tuple[Children, ...] = ()
