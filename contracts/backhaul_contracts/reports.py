"""What a worker says of an attempt, numbered from 1 without holes, kept and resent until recorded."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from backhaul_contracts.failures import Failure
from backhaul_contracts.tasks import Progress
from backhaul_contracts.wire import Duration, Json, Wire


class _OfAttempt(Wire):
    task_id: str
    attempt: int = Field(ge=1)
    token: str
    number: int = Field(ge=1)


class ProgressReport(_OfAttempt):
    report: Literal["progress"] = "progress"
    progress: Progress


class OutputReport(_OfAttempt):
    """A piece of output: text deltas are joined by what carries them, other JSON is kept as it is."""

    report: Literal["output"] = "output"
    delta: Json


class LogReport(_OfAttempt):
    report: Literal["log"] = "log"
    level: Literal["debug", "info", "warning", "error"] = "info"
    message: str
    fields: dict[str, Any] = Field(default_factory=dict)


class CheckpointReport(_OfAttempt):
    """What the next attempt finds in `ctx.checkpoint`; output up to here is kept when the attempt is retried."""

    report: Literal["checkpoint"] = "checkpoint"
    checkpoint: Json


class SucceededReport(_OfAttempt):
    report: Literal["succeeded"] = "succeeded"
    result: Json = None


class FailedReport(_OfAttempt):
    """The attempt failed. `failure.retryable` asks for another attempt; `retry_after` fixes the wait before it.

    `still_running`: its time is over, and its handler does not stop.
    """

    report: Literal["failed"] = "failed"
    failure: Failure
    retry_after: Duration | None = None
    still_running: bool = False


class Called(Wire):
    """A task that an attempt waits for."""

    task_id: str
    kind: str


class WaitingReport(_OfAttempt):
    """A call is pending, of these tasks: the attempt keeps its lease, and takes no slot."""

    report: Literal["waiting"] = "waiting"
    calls: list[Called] = Field(default_factory=list)


class ResumedReport(_OfAttempt):
    """No call is pending any more, and the attempt has a slot again."""

    report: Literal["resumed"] = "resumed"


class AbandonedReport(_OfAttempt):
    """The attempt has waited for these children in vain, and wants them cancelled."""

    report: Literal["abandoned"] = "abandoned"
    calls: list[str]


class StoppedReport(_OfAttempt):
    """The attempt has really stopped, because a cancel asked for it."""

    report: Literal["stopped"] = "stopped"


class HandedBackReport(_OfAttempt):
    """The worker is leaving: another may go on at once. Not a failure."""

    report: Literal["handed_back"] = "handed_back"


Report = Annotated[
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
    | HandedBackReport,
    Field(discriminator="report"),
]


class Lapse(Wire):
    """From the reaper, through the task's own shard, so that it is read behind reports in flight."""

    task_id: str
    attempt: int


class Ruling(StrEnum):
    RECORDED = "recorded"
    """Everything up to `number` is in the record (now or already before)."""
    GAP = "gap"
    """A report before it is missing: resend from `number` + 1."""
    STALE = "stale"
    """The attempt is over: stop it and drop its reports."""
    REFUSED = "refused"
    """The report can never be recorded (`detail` says why); later ones can, under its number."""


class Recorded(Wire):
    """The ledger's answer to the reports of one attempt; `number` is the last one in the record."""

    task_id: str
    attempt: int
    number: int
    ruling: Ruling
    detail: str | None = None
