"""The record of a task: the values that the state machine reads and writes."""

from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NewType

from backhaul_contracts.events import EventType
from backhaul_contracts.ids import LeaseToken, TaskId, WorkerId
from backhaul_contracts.tasks import Status

RawJson = NewType("RawJson", str)
"""One JSON value as text. Payloads are kept as text from the wire to the wire: written once, never re-read."""


@dataclass(frozen=True, kw_only=True)  # without slots: a record is copied at every transition, as one dictionary
class Record:
    """All of a task but its payloads (input, result, checkpoint), as it is after its last committed transition."""

    id: TaskId
    tenant: str
    kind: str
    version: str
    """The version of the kind under whose schema the input was accepted; only workers that announce it may claim."""
    queue: str
    status: Status
    priority: int = 0
    key: str | None = None
    metadata: RawJson = RawJson("{}")
    parent_id: str | None = None
    replay_of: str | None = None
    traceparent: str | None = None
    webhook: RawJson | None = None
    """Where its events go beside the tenant's endpoints: `backhaul.core.webhooks`."""

    timeout: timedelta
    grace: timedelta
    max_attempts: int
    retry_base: timedelta
    retry_cap: timedelta

    attempt: int = 0
    """0 until the first claim; goes on over runs."""
    failures: int = 0
    """Errors, time-outs and crashes of this run; never hand-backs."""
    losses: int = 0
    """Those failures whose worker died."""
    seq: int = 0
    """The `seq` of the last event."""
    number: int = 0
    """The number of the last report of the current attempt."""
    keep_through: int = 0
    """The `seq` when the current attempt last saved a checkpoint; 0 if it has not."""

    token: LeaseToken | None = None
    worker_id: WorkerId | None = None
    claim_id: str | None = None
    claim_beat: int = 0

    progress: RawJson | None = None
    error: RawJson | None = None

    replies: RawJson | None = None
    """Who is told of the end: `backhaul.core.messages.replies`."""
    called_in: int = 0
    """The attempt of the parent that has made the task, or was the last to call for it; 0: none has."""

    created_at: datetime
    scheduled_for: datetime | None = None
    not_before: datetime | None = None
    """When time acts next: a scheduled or retrying task is due, a cancelling one is given up."""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = None
    retained_until: datetime | None = None
    cancel_requested_at: datetime | None = None
    cancel_reason: str | None = None
    cancel_outcome: str | None = None


RECORD_FIELDS = tuple(field.name for field in fields(Record))


_DEFAULTS = {field.name: field.default for field in fields(Record) if field.default is not MISSING}


def assemble(values: Iterable[Any]) -> Record:
    """A record from the values of `RECORD_FIELDS`, in that order."""
    return _record(dict(zip(RECORD_FIELDS, values, strict=True)))


def evolve(record: Record, **changes: Any) -> Record:
    """What `dataclasses.replace` returns, in a tenth of its time: every transition of every task passes here."""
    return _record({**vars(record), **changes})


if TYPE_CHECKING:
    new_record = Record
else:

    def new_record(**values: Any) -> Record:
        """What the constructor returns, in a quarter of its time, most of which goes into keeping it frozen."""
        return _record({**_DEFAULTS, **values})


def _record(values: dict[str, Any]) -> Record:
    if len(values) != len(RECORD_FIELDS):
        raise TypeError(f"these are not all the fields of a record, or not only these: {', '.join(values)}")
    record = object.__new__(Record)
    object.__setattr__(record, "__dict__", values)
    return record


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A whole task at one moment: record and payloads."""

    record: Record
    input: RawJson
    result: RawJson | None = None
    checkpoint: RawJson | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """An entry of a task's log. `data` is a JSON object."""

    task_id: TaskId
    seq: int
    attempt: int
    type: EventType
    time: datetime
    data: RawJson


@dataclass(frozen=True, slots=True)
class Caller:
    """The attempt that submits a child: only the current one may. `waits`: it calls, and wants the outcome."""

    task_id: TaskId
    attempt: int
    token: str
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A task that has passed every check and may be accepted. `fingerprint` tells equal kind and input apart."""

    record: Record
    input: RawJson
    fingerprint: str | None
    """None when the task has no key: nothing will ever be compared with it."""
    caller: Caller | None = None
