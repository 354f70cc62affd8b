"""What may be asked of a task's record, beside the reports of its worker.

Each is a wish: the state machine grants or refuses it. Names are imperative; every command names its task.
"""

from dataclasses import dataclass
from datetime import timedelta

from backhaul.core.messages.replies import ReplyTo
from backhaul_contracts.ids import TaskId
from backhaul_contracts.reports import (
    AbandonedReport,
    CheckpointReport,
    FailedReport,
    HandedBackReport,
    LogReport,
    OutputReport,
    ProgressReport,
    ResumedReport,
    StoppedReport,
    SucceededReport,
    WaitingReport,
)


@dataclass(frozen=True, slots=True)
class Cancel:
    """A client no longer wants the task. `grace`: the time a running attempt has to stop (None: as its kind says)."""

    task_id: TaskId
    reason: str | None = None
    grace: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Rerun:
    """An operator wants a new run of a task that ended without success."""

    task_id: TaskId


@dataclass(frozen=True, slots=True)
class Join:
    """The task was submitted once more. `reply`: who wants to hear of its end. `attempt`: of its parent, which calls
    for it: if it has ended without success before that attempt, it is run anew (0: nobody calls)."""

    task_id: TaskId
    reply: ReplyTo | None = None
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Release:
    """A scheduled or retrying task may be due."""

    task_id: TaskId


@dataclass(frozen=True, slots=True)
class Expire:
    """A task that has not started may have passed its deadline."""

    task_id: TaskId


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The grace of a cancelling task may be over."""

    task_id: TaskId


@dataclass(frozen=True, slots=True)
class Lose:
    """The lease of an attempt may have lapsed: its worker was silent for too long."""

    task_id: TaskId
    attempt: int


@dataclass(frozen=True, slots=True)
class TakeBack:
    """A grant that never reached its worker, as a later beat proves: not a failure."""

    task_id: TaskId
    attempt: int


Report = (
    ProgressReport
    | OutputReport
    | LogReport
    | CheckpointReport
    | WaitingReport
    | ResumedReport
    | AbandonedReport
    | SucceededReport
    | FailedReport
    | StoppedReport
    | HandedBackReport
)

Command = Cancel | Rerun | Join | Release | Expire | GiveUp | Lose | TakeBack | Report
