"""The pace of tasks: what happened to them in the commits of this process, and how long each stage took."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime

from backhaul.core.clock import Clock
from backhaul.core.metrics import LENGTHS, Labels, Metric, Reading, Shape, Spreads
from backhaul.core.ports.dispatch import Happening
from backhaul.core.task.record import Event, Record
from backhaul_contracts.events import EventType

EVENTS = Metric(
    "backhaul_task_events_total",
    Shape.COUNTER,
    "Events of tasks that this process has committed: `event` is their type without `task.`.",
    ("kind", "event"),
)
STAGES = Metric(
    "backhaul_task_stage_seconds",
    Shape.HISTOGRAM,
    "How long a task took for a `stage`: `accept` (from its submission to the commit), `wait` (from when it could run "
    "to its first start), `run` (from its first start to its end, with retries, calls and waits).",
    ("kind", "stage"),
)
METRICS = (EVENTS, STAGES)


class Pace:
    """Counts happenings. It is told of each once, by whoever has committed it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: Counter[tuple[str, str]] = Counter()
        self._stages = Spreads(LENGTHS)

    def expect(self, kinds: Iterable[str]) -> None:
        """There may be tasks of these: what has not happened to any is told from now on, too."""
        for kind in kinds:
            self._events[kind, str(EventType.ACCEPTED)] += 0

    def note(self, happenings: Iterable[Happening]) -> None:
        """These are committed."""
        for happening in happenings:
            record, event = happening.record, happening.event
            self._events[record.kind, str(event.type)] += 1  # an enum takes its time to be hashed
            if event.type is EventType.ACCEPTED:
                self._stage(record, "accept", record.created_at, self._clock.now())
            elif event.type is EventType.STARTED and record.started_at == event.time:
                self._stage(record, "wait", record.scheduled_for or record.created_at, event.time)
            elif record.finished_at == event.time:
                self._end(record, event)

    def readings(self) -> Iterator[Reading]:
        """What has been counted. Of a kind that is known every event is told, since the first step up from nothing
        is one that `increase` does not see."""
        kinds = dict.fromkeys(kind for kind, _ in self._events)
        events: dict[Labels, float] = {
            (kind, event.removeprefix("task.")): self._events[kind, str(event)] for kind in kinds for event in EventType
        }
        yield Reading(EVENTS, events)
        yield Reading(STAGES, dict(self._stages))

    def _end(self, record: Record, event: Event) -> None:
        if record.started_at is not None and event.type.terminal:
            self._stage(record, "run", record.started_at, event.time)

    def _stage(self, record: Record, stage: str, since: datetime, until: datetime) -> None:
        self._stages[record.kind, stage].observe((until - since).total_seconds())
