"""What a decision is made of: the rules it obeys, the change it grants or the refusal, and the log it fills."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from backhaul.core.task.record import Event, RawJson, Record, evolve
from backhaul_contracts import codec
from backhaul_contracts.events import EventType
from backhaul_contracts.ids import TaskId
from backhaul_contracts.reports import Ruling
from backhaul_contracts.tasks import Status
from backhaul_contracts.wire import format_time

NOTICE = timedelta(seconds=1)
"""How long it may take until the record knows that an attempt was stopped at the end of its grace."""

_NOTHING = RawJson("{}")
NO_LEASE: dict[str, Any] = {"token": None, "worker_id": None, "claim_id": None, "claim_beat": 0}


@dataclass(frozen=True, slots=True)
class Rules:
    """What a decision depends on beside record and command.

    `retention`: how long ended tasks are kept; `draw`: chance, in [0, 1); `max_events`: how long a task's log may grow
    by what its handler says (events of the lifecycle itself always fit); `lease`: for how long a worker that is not
    heard may be at work; `notice`: how long beyond its grace a cancel waits for the word that the attempt has stopped,
    since a process that is killed at the end of it has stopped for certain.
    """

    retention: timedelta
    draw: Callable[[], float]
    max_events: int = 100_000
    lease: timedelta = timedelta(seconds=20)
    notice: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Change:
    """A granted wish: the record after it, what happened (in order), and the payloads it sets (None: as before).

    `abandoned`: children of the task that are to be cancelled.
    """

    record: Record
    events: tuple[Event, ...] = ()
    result: RawJson | None = None
    checkpoint: RawJson | None = None
    abandoned: tuple[TaskId, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing changes. For a report, `ruling` is what its worker is told."""

    record: Record | None
    ruling: Ruling
    detail: str | None = None


@dataclass(slots=True)
class Log:
    """Collects what one transition changes in `record`, and the events it tells of it."""

    record: Record
    now: datetime
    changes: dict[str, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def add(self, type: EventType, **data: Any) -> None:
        self.add_raw(type, raw({name: _plain(value) for name, value in data.items()}) if data else _NOTHING)

    def add_raw(self, type: EventType, data: RawJson) -> None:
        seq = self.record.seq + len(self.events) + 1
        attempt = self.changes.get("attempt", self.record.attempt)
        self.events.append(Event(self.record.id, seq, attempt, type, self.now, data))

    def move(self, **changes: Any) -> None:
        self.changes.update(changes)

    def end(self, status: Status, rules: Rules, **changes: Any) -> None:
        self.move(
            status=status,
            finished_at=self.now,
            retained_until=after(self.now, rules.retention),
            not_before=None,
            **NO_LEASE,
            **changes,
        )

    def change(self, result: RawJson | None = None, checkpoint: RawJson | None = None) -> Change:
        record = evolve(self.record, seq=self.record.seq + len(self.events), **self.changes)
        return Change(record, tuple(self.events), result, checkpoint)


def after(now: datetime, wait: timedelta) -> datetime:
    """`wait` from `now`, in whole milliseconds, which is how moments are stored."""
    return now + wait - timedelta(microseconds=wait.microseconds % 1000)


def raw(value: Any) -> RawJson:
    """`value` as JSON text."""
    return RawJson(codec.dumps(value).decode())


def _plain(value: Any) -> Any:
    return format_time(value) if isinstance(value, datetime) else value
