"""What a decision is made of: the rules it obeys, the change it grants or the refusal, and the log it fills."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from backhaul.core.record import Event, RawJson, Record
from backhaul_contracts import codec
from backhaul_contracts.events import EventType
from backhaul_contracts.reports import Ruling
from backhaul_contracts.tasks import Status
from backhaul_contracts.wire import format_time

NO_LEASE: dict[str, Any] = {"token": None, "worker_id": None, "claim_id": None, "claim_beat": 0}


@dataclass(frozen=True, slots=True)
class Rules:
    """What a decision depends on beside record and command.

    `retention`: how long ended tasks are kept; `draw`: chance, in [0, 1); `max_events`: how long a task's log may grow
    by what its handler says (events of the lifecycle itself always fit).
    """

    retention: timedelta
    draw: Callable[[], float]
    max_events: int = 100_000


@dataclass(frozen=True, slots=True)
class Change:
    """A granted wish: the record after it, what happened (in order), and the payloads it sets (None: as before)."""

    record: Record
    events: tuple[Event, ...] = ()
    result: RawJson | None = None
    checkpoint: RawJson | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing changes. For a report, `ruling` is what its worker is told."""

    record: Record | None
    ruling: Ruling
    detail: str | None = None


@dataclass(slots=True)
class Log:
    """Collects the events of one transition while the record moves on."""

    record: Record
    now: datetime
    events: list[Event] = field(default_factory=list)

    def add(self, type: EventType, **data: Any) -> None:
        self.add_raw(type, raw({name: _plain(value) for name, value in data.items()}))

    def add_raw(self, type: EventType, data: RawJson) -> None:
        self.record = replace(self.record, seq=self.record.seq + 1)
        self.events.append(Event(self.record.id, self.record.seq, self.record.attempt, type, self.now, data))

    def move(self, **changes: Any) -> None:
        self.record = replace(self.record, **changes)

    def end(self, status: Status, rules: Rules, **changes: Any) -> None:
        self.move(
            status=status,
            finished_at=self.now,
            retained_until=self.now + rules.retention,
            not_before=None,
            **NO_LEASE,
            **changes,
        )

    def change(self, result: RawJson | None = None, checkpoint: RawJson | None = None) -> Change:
        return Change(self.record, tuple(self.events), result, checkpoint)


def raw(value: Any) -> RawJson:
    """`value` as JSON text."""
    return RawJson(codec.dumps(value).decode())


def _plain(value: Any) -> Any:
    return format_time(value) if isinstance(value, datetime) else value
