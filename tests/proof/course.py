"""The course of one task: its log, walked along the table of the state machine, and cut into runs."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from backhaul.core.task.lifecycle import TRANSITIONS, Trigger
from backhaul_contracts.events import EventType
from backhaul_contracts.tasks import HELD, TERMINAL, Status
from tests.proof.observations import LoggedEvent

STATUS_AFTER: dict[str, Status] = {
    EventType.SCHEDULED: Status.SCHEDULED,
    EventType.QUEUED: Status.QUEUED,
    EventType.STARTED: Status.RUNNING,
    EventType.WAITING: Status.WAITING,
    EventType.RETRYING: Status.RETRYING,
    EventType.CANCELLING: Status.CANCELLING,
    EventType.SUCCEEDED: Status.SUCCEEDED,
    EventType.FAILED: Status.FAILED,
    EventType.CANCELLED: Status.CANCELLED,
    EventType.EXPIRED: Status.EXPIRED,
}
_SAID_BY_THE_HANDLER: frozenset[str] = frozenset({EventType.PROGRESS, EventType.OUTPUT, EventType.LOG})
_MOVES = frozenset(
    (source, row.target) for row in TRANSITIONS for source in row.sources if row.trigger is not Trigger.REPORT
)
_FIRST = frozenset(row.target for row in TRANSITIONS if not row.sources)


@dataclass(frozen=True, slots=True)
class Step:
    """An entry of the log. `before`: where the task stood (None: not yet anywhere), `after`: where it stands then.
    `run` counts from 0; an operator's retry begins the next."""

    event: LoggedEvent
    before: Status | None
    after: Status | None
    run: int

    @property
    def said(self) -> bool:
        """Whether the handler said it: progress, output or log."""
        return self.event.type in _SAID_BY_THE_HANDLER

    @property
    def legal(self) -> bool:
        """Whether the table allows it."""
        if self.said:
            return self.before in HELD
        if self.event.type == EventType.ACCEPTED:
            return self.event.seq == 1
        if self.before is None:
            return self.after in _FIRST
        return any((before, self.after) in _MOVES for before in _may_be(self.before))


@dataclass(frozen=True, slots=True)
class Course:
    """All steps of a task, in the order of the log. Looking one up takes the same time however long it is."""

    task_id: str
    steps: list[Step] = field(default_factory=list)
    _by_seq: dict[int, Step] = field(default_factory=dict)
    _endings: dict[int, Status] = field(default_factory=dict)

    def add(self, event: LoggedEvent) -> None:
        last = self.steps[-1] if self.steps else None
        before = last.after if last else None
        after = STATUS_AFTER.get(event.type, before)
        anew = before in TERMINAL and after in {Status.QUEUED, Status.SCHEDULED}
        step = Step(event, before, after, (last.run if last else 0) + anew)
        self.steps.append(step)
        self._by_seq[event.seq] = step
        if after in TERMINAL:
            self._endings.setdefault(step.run, after)

    def at(self, seq: int) -> Step | None:
        """The step that `seq` numbers, if the log has it."""
        return self._by_seq.get(seq)

    def run_at(self, seq: int | None) -> int:
        """The run to which `seq` belongs. None, or what is not in the log: the last one."""
        step = self._by_seq.get(seq) if seq is not None else None
        return step.run if step else self.last_run

    def ending(self, run: int) -> Status | None:
        """How a run ended; None if it did not."""
        return self._endings.get(run)

    @property
    def last_run(self) -> int:
        return self.steps[-1].run if self.steps else 0

    @property
    def status(self) -> Status | None:
        """Where the log leaves the task."""
        return self.steps[-1].after if self.steps else None

    def starts(self) -> Iterator[LoggedEvent]:
        return (step.event for step in self.steps if step.event.type == EventType.STARTED)


def shows(step: Step, status: Status) -> bool:
    """Whether a task that is shown as `status` may stand at `step`: that calls are done is written into no event."""
    return step.after is not None and status in _may_be(step.after)


def _may_be(status: Status) -> tuple[Status, ...]:
    return (Status.WAITING, Status.RUNNING) if status is Status.WAITING else (status,)
