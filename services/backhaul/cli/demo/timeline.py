"""How long each step of a task took, from its events and the clock of the client."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from backhaul_contracts.events import Event, EventType


@dataclass(slots=True)
class Timeline:
    """Takes the events of one task as they arrive. All clocks are this machine's; events tell milliseconds."""

    submitted_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    accepted_at: datetime | None = None
    """When the gateway's 202 was in the client's hands."""
    arrived_at: datetime | None = None
    """When the last event was."""
    _first: dict[str, datetime] = field(default_factory=dict)

    def accepted(self) -> None:
        self.accepted_at = datetime.now(UTC)

    def take(self, event: Event) -> None:
        self._first.setdefault(event.type, event.time)
        if event.type in (EventType.SUCCEEDED, EventType.FAILED):
            self.arrived_at = datetime.now(UTC)

    def steps(self) -> list[tuple[str, timedelta]]:
        """The steps that were reached, in order, each with the time since the one before."""
        queued, started = self._first.get(EventType.QUEUED), self._first.get(EventType.STARTED)
        output, finished = self._first.get(EventType.OUTPUT), self._first.get(EventType.SUCCEEDED)
        reached = [
            ("accepted: POST answered with 202", self.submitted_at, self.accepted_at),
            ("queued → started", queued, started),
            ("started → first sentence", started, output),
            ("first sentence → finished", output, finished),
            ("finished → result at the client", finished, self.arrived_at),
            ("all: submit → result", self.submitted_at, self.arrived_at),
        ]
        return [(name, end - start) for name, start, end in reached if start is not None and end is not None]
