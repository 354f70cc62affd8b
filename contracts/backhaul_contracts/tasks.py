"""The task as a client sees it."""

from enum import StrEnum
from typing import Literal

from backhaul_contracts.failures import Failure
from backhaul_contracts.wire import Json, Metadata, Moment, Wire


class Status(StrEnum):
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    RETRYING = "retrying"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def done(self) -> bool:
        """Whether nothing more happens to the task, short of an operator's retry."""
        return self in TERMINAL

    @property
    def held(self) -> bool:
        """Whether a worker holds a lease on the task."""
        return self in HELD


TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.EXPIRED})
HELD = frozenset({Status.RUNNING, Status.WAITING, Status.CANCELLING})


class Progress(Wire):
    """How far the current attempt is: `done` of `total` (in any unit), with a note for people."""

    done: float
    total: float | None = None
    note: str | None = None


class Cancel(Wire):
    """A cancel request. `confirmed`: no code of the task runs any more; `unconfirmed`: nobody could say so in time."""

    requested_at: Moment
    reason: str | None = None
    outcome: Literal["confirmed", "unconfirmed"] | None = None


class Links(Wire):
    self: str
    events: str
    result: str
    cancel: str
    stream: str


class Task(Wire):
    """The one true record of a task, as `GET /v1/tasks/{id}` shows it."""

    id: str
    kind: str
    status: Status
    done: bool
    attempt: int
    max_attempts: int
    seq: int
    progress: Progress | None = None
    input: Json = None
    result: Json = None
    error: Failure | None = None
    tenant: str
    queue: str
    priority: int
    key: str | None = None
    metadata: Metadata
    parent_id: str | None = None
    replay_of: str | None = None
    created_at: Moment
    scheduled_for: Moment | None = None
    started_at: Moment | None = None
    finished_at: Moment | None = None
    expires_at: Moment | None = None
    retained_until: Moment | None = None
    cancel: Cancel | None = None
    links: Links


class TaskPage(Wire):
    """Tasks, newest first; `next_cursor` is null on the last page."""

    data: list[Task]
    next_cursor: str | None = None
