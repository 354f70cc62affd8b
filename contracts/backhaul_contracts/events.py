"""What happens to a task: one name on every transport."""

from enum import StrEnum
from typing import Any

from backhaul_contracts.failures import Failure
from backhaul_contracts.wire import Json, Metadata, Moment, Wire


class EventType(StrEnum):
    ACCEPTED = "task.accepted"
    SCHEDULED = "task.scheduled"
    QUEUED = "task.queued"
    STARTED = "task.started"
    PROGRESS = "task.progress"
    OUTPUT = "task.output"
    LOG = "task.log"
    WAITING = "task.waiting"
    RETRYING = "task.retrying"
    CANCELLING = "task.cancelling"
    SUCCEEDED = "task.succeeded"
    FAILED = "task.failed"
    CANCELLED = "task.cancelled"
    EXPIRED = "task.expired"

    @property
    def terminal(self) -> bool:
        return self in TERMINAL_EVENTS

    @property
    def public(self) -> bool:
        """Whether it goes to `backhaul.events`: lifecycle only; the rest stays on the live path and the streams."""
        return self not in _STREAM_ONLY


TERMINAL_EVENTS = frozenset({EventType.SUCCEEDED, EventType.FAILED, EventType.CANCELLED, EventType.EXPIRED})
_STREAM_ONLY = frozenset({EventType.PROGRESS, EventType.OUTPUT, EventType.LOG})

SNAPSHOT = "task.snapshot"
GAP = "stream.gap"


class Event(Wire):
    """An entry of a task's log, on every transport. `seq` is contiguous from 1 within a task."""

    task_id: str
    seq: int
    attempt: int
    type: str
    time: Moment
    data: dict[str, Any]


LARGEST_PAGE = 8 * 1024 * 1024
"""How many bytes of data a page of a log, or of a list of tasks, holds: what makes it so large is the last of it."""


class EventPage(Wire):
    """Events in order. `next_after` continues behind them; `done` is true when nothing more can follow."""

    data: list[Event]
    next_after: int
    done: bool


class PublicEvent(Wire):
    """`data` of a CloudEvent on the exchange `backhaul.events`."""

    task_id: str
    kind: str
    seq: int
    attempt: int
    status: str
    result: Json = None
    error: Failure | None = None
    key: str | None = None
    metadata: Metadata
    parent_id: str | None = None
