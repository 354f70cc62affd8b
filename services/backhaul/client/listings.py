"""What the gateway lists beside tasks."""

from typing import Any

from pydantic import Field

from backhaul_contracts.kinds import RetryRule
from backhaul_contracts.wire import Duration, Moment, Wire


class KindInfo(Wire):
    """A kind that can be submitted: who handles it, and the JSON Schemas of its input and result."""

    kind: str
    service: str
    version: str
    queue: str
    timeout: Duration
    retry: RetryRule | None = None
    input_schema: dict[str, Any] = Field(default_factory=dict)
    result_schema: dict[str, Any] = Field(default_factory=dict)
    workers: int = 0
    """How many workers are ready for it now."""


class KindPage(Wire):
    data: list[KindInfo]
    next_cursor: str | None = None


class WorkerInfo(Wire):
    """One worker process, as its last heartbeat described it."""

    id: str
    service: str
    version: str
    slots: int
    running: int
    last_heartbeat: Moment
    state: str
    """`ready`, `draining` or `lost`."""


class WorkerPage(Wire):
    data: list[WorkerInfo]
    next_cursor: str | None = None
