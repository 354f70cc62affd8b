"""What a service hears of tasks, its own or those of others."""

from dataclasses import dataclass
from datetime import datetime

from backhaul_contracts.envelope import TYPE_PREFIX
from backhaul_contracts.failures import Failure
from backhaul_contracts.messages import Published
from backhaul_contracts.wire import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEvent:
    """A lifecycle event of a task, as it was committed. It may come more than once, the same each time."""

    type: str
    """`task.accepted`, `task.started`, `task.succeeded` and so on."""
    task_id: str
    kind: str
    seq: int
    """Its number among the events of the task. They may overtake each other on their way."""
    attempt: int
    status: str
    """Of the task, right after the event."""
    result: Json
    """Of `task.succeeded`; else None."""
    error: Failure | None
    """Of `task.failed` and `task.expired`; else None."""
    key: str | None
    metadata: dict[str, str]
    parent_id: str | None
    time: datetime
    tenant: str = "default"

    @property
    def id(self) -> str:
        """The same for each repeat of the event, and for no other one."""
        return f"{self.task_id}-{self.seq}"


def read_event(body: bytes) -> TaskEvent:
    """The event that a message on `backhaul.events` tells of. Raises `ValueError` if it is none."""
    message = Published.model_validate_json(body)
    if not message.type.startswith(f"{TYPE_PREFIX}task."):
        raise ValueError(f"type {message.type!r} is no event of a task")
    if message.time is None:
        raise ValueError("the event has no time")
    said = message.data
    return TaskEvent(
        type=message.type.removeprefix(TYPE_PREFIX),
        task_id=said.task_id,
        kind=said.kind,
        seq=said.seq,
        attempt=said.attempt,
        status=said.status,
        result=said.result,
        error=said.error,
        key=said.key,
        metadata=dict(said.metadata),
        parent_id=said.parent_id,
        time=message.time,
        tenant=str((message.model_extra or {}).get("tenantid", "default")),
    )
