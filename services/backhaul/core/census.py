"""The census: how the whole platform stands by its record. What waits and runs, what is owed, who is at work."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from backhaul.core.metrics import Labels, Metric, Reading, Shape, alone
from backhaul_contracts.tasks import Status

TASKS = Metric(
    "backhaul_queue_tasks",
    Shape.GAUGE,
    "Tasks in a queue: `queued` wait for a slot; `running`, `waiting` (for calls) and `cancelling` have an attempt.",
    ("queue", "status"),
)
OLDEST = Metric(
    "backhaul_queue_oldest_seconds",
    Shape.GAUGE,
    "How long the oldest task has waited in a queue, 0 if none waits.",
    ("queue",),
)
PAUSED = Metric("backhaul_queue_paused", Shape.GAUGE, "1 if nothing is started from the queue, else 0.", ("queue",))
LATER = Metric("backhaul_tasks_later", Shape.GAUGE, "Tasks that wait for a time: `scheduled`, `retrying`.", ("status",))
OUTBOX = Metric("backhaul_outbox_dispatches", Shape.GAUGE, "Commits whose messages the broker has not confirmed yet.")
OUTBOX_AGE = Metric(
    "backhaul_outbox_oldest_seconds", Shape.GAUGE, "How long the oldest of them has been owed, 0 if there is none."
)
DELIVERIES = Metric("backhaul_webhook_deliveries_pending", Shape.GAUGE, "Webhooks that are still to be delivered.")
WORKERS = Metric(
    "backhaul_workers",
    Shape.GAUGE,
    "Workers by service: `ready`, `draining`, and those `lost` within the last day.",
    ("service", "state"),
)
SLOTS = Metric("backhaul_service_slots", Shape.GAUGE, "Slots of all workers of a service that are ready.", ("service",))
METRICS = (TASKS, OLDEST, PAUSED, LATER, OUTBOX, OUTBOX_AGE, DELIVERIES, WORKERS, SLOTS)

_LATER = (Status.SCHEDULED, Status.RETRYING)
_HELD = (Status.RUNNING, Status.WAITING, Status.CANCELLING)


@dataclass(frozen=True, slots=True)
class Line:
    """A queue, seen from its end: how many wait, how long the oldest of them has, and whether any is let in."""

    name: str
    waiting: int
    oldest_age: timedelta | None
    paused: bool


@dataclass(frozen=True, slots=True)
class Crew:
    """The workers of one service in one state: how many, and their slots together."""

    service: str
    state: str
    workers: int
    slots: int


@dataclass(frozen=True, slots=True)
class Census:
    """One moment. `kinds`: all that are announced. Numbers are counted up to 100,000. `held`: tasks with an attempt, by
    queue and status; `timed`: those that wait for a time, by status; `oldest_debt`: how long the oldest dispatch has
    been owed."""

    kinds: tuple[str, ...]
    queues: tuple[Line, ...]
    held: Mapping[tuple[str, Status], int]
    timed: Mapping[Status, int]
    debts: int
    oldest_debt: timedelta
    deliveries: int
    crews: tuple[Crew, ...]

    def readings(self) -> Iterator[Reading]:
        """The same as numbers."""
        yield Reading(TASKS, dict(self._tasks()))
        yield Reading(OLDEST, {(queue.name,): _seconds(queue.oldest_age) for queue in self.queues})
        yield Reading(PAUSED, {(queue.name,): int(queue.paused) for queue in self.queues})
        yield Reading(LATER, {(status,): self.timed.get(status, 0) for status in _LATER})
        yield alone(OUTBOX, self.debts)
        yield alone(OUTBOX_AGE, self.oldest_debt.total_seconds())
        yield alone(DELIVERIES, self.deliveries)
        yield Reading(WORKERS, {(crew.service, crew.state): crew.workers for crew in self.crews})
        yield Reading(SLOTS, {(crew.service,): crew.slots for crew in self.crews if crew.state == "ready"})

    def _tasks(self) -> Iterator[tuple[Labels, float]]:
        for queue in self.queues:
            yield (queue.name, Status.QUEUED), queue.waiting
            for status in _HELD:
                yield (queue.name, status), self.held.get((queue.name, status), 0)


def _seconds(age: timedelta | None) -> float:
    return 0.0 if age is None else age.total_seconds()
