"""What the API lists beside tasks: kinds, workers and queues."""

from typing import Any

from pydantic import Field

from backhaul_contracts.kinds import RetryRule
from backhaul_contracts.wire import Duration, Moment, Wire


class RefusedAnnouncement(Wire):
    """The last announcement of a kind that was refused: what it would have broken, of which version of the kind, and
    which version of the service it came with."""

    version: str
    service_version: str
    reason: str
    at: Moment


class KindInfo(Wire):
    """A kind that can be submitted: who handles it, and the JSON Schemas of its input and result.

    `workers` counts those that take tasks of its service now, whatever their version. `refused` is there if the newest
    announcement, within the last day, was refused.
    """

    kind: str
    service: str
    version: str
    input_schema: dict[str, Any]
    result_schema: dict[str, Any]
    timeout: Duration
    retry: RetryRule
    queue: str
    workers: int
    refused: RefusedAnnouncement | None = Field(default=None, exclude_if=lambda refused: refused is None)


class KindPage(Wire):
    data: list[KindInfo]
    next_cursor: str | None = None


class WorkerInfo(Wire):
    """A worker as its last beat described it. `state`: `ready`, `draining` or `lost`."""

    id: str
    service: str
    version: str
    slots: int
    running: int
    last_heartbeat: Moment
    state: str


class WorkerPage(Wire):
    data: list[WorkerInfo]
    next_cursor: str | None = None


class QueueInfo(Wire):
    """Where tasks wait. `waiting` could be claimed now (counted up to 100,000), were the queue not `paused`; `running`
    are held by workers.

    `oldest_age` is how long ago the oldest of those that wait was made, or was due if it was to run later; null if none
    waits. `rate` is how many tasks ended in a second, over the last minute or the last 10,000 tasks.
    """

    name: str
    waiting: int
    running: int
    oldest_age: Duration | None
    rate: float
    paused: bool


class QueuePage(Wire):
    data: list[QueueInfo]
    next_cursor: str | None = None
