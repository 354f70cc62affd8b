"""The life of a task: one table of transitions, and the one place where they are applied. Pure: no I/O, no clock."""

from dataclasses import dataclass
from enum import StrEnum

from backhaul_contracts.tasks import Status

_S = Status


class Trigger(StrEnum):
    """What moves a task from one status to another."""

    ACCEPT = "accept"
    DUE = "due"
    CLAIM = "claim"
    REPORT = "report"
    CALL = "call"
    RESUME = "resume"
    SUCCEED = "succeed"
    FAIL = "fail"
    RETRY = "retry"
    HAND_BACK = "hand back"
    CANCEL = "cancel"
    ASK = "ask to stop"
    HURRY = "ask to stop sooner"
    STOP = "stopped"
    GIVE_UP = "give up"
    EXPIRE = "expire"
    RERUN = "rerun"
    RERUN_LATER = "rerun later"


@dataclass(frozen=True, slots=True)
class Transition:
    """From any of `sources` (none: the task is new), `trigger` leads to `target` if `guard` holds."""

    sources: tuple[Status, ...]
    trigger: Trigger
    target: Status
    guard: str


_ATTEMPT = "attempt, token and number fit"

TRANSITIONS: tuple[Transition, ...] = (
    Transition((), Trigger.ACCEPT, _S.QUEUED, "the key is new"),
    Transition((), Trigger.ACCEPT, _S.SCHEDULED, "the key is new, and it runs later"),
    Transition((_S.SCHEDULED, _S.RETRYING), Trigger.DUE, _S.QUEUED, "its time has come"),
    Transition((_S.QUEUED,), Trigger.CLAIM, _S.RUNNING, "not expired, queue not paused"),
    Transition((_S.RUNNING,), Trigger.REPORT, _S.RUNNING, _ATTEMPT),
    Transition((_S.WAITING,), Trigger.REPORT, _S.WAITING, _ATTEMPT),
    Transition((_S.CANCELLING,), Trigger.REPORT, _S.CANCELLING, _ATTEMPT),
    Transition((_S.RUNNING,), Trigger.CALL, _S.WAITING, "a call is pending"),
    Transition((_S.WAITING,), Trigger.RESUME, _S.RUNNING, "no call is pending"),
    Transition((_S.RUNNING, _S.WAITING, _S.CANCELLING), Trigger.SUCCEED, _S.SUCCEEDED, _ATTEMPT),
    Transition((_S.RUNNING, _S.WAITING), Trigger.FAIL, _S.FAILED, "final, or failures = max_attempts"),
    Transition((_S.RUNNING, _S.WAITING), Trigger.RETRY, _S.RETRYING, "failures < max_attempts"),
    Transition((_S.RUNNING, _S.WAITING), Trigger.HAND_BACK, _S.RETRYING, "the attempt has stopped"),
    Transition((_S.RUNNING, _S.WAITING), Trigger.ASK, _S.CANCELLING, "an attempt is running"),
    Transition((_S.CANCELLING,), Trigger.HURRY, _S.CANCELLING, "the new grace ends before the old one"),
    Transition((_S.CANCELLING,), Trigger.STOP, _S.CANCELLED, "stopped, failed or handed back: confirmed"),
    Transition((_S.CANCELLING,), Trigger.GIVE_UP, _S.CANCELLED, "grace over or lease lapsed: unconfirmed"),
    Transition((_S.SCHEDULED, _S.QUEUED, _S.RETRYING), Trigger.CANCEL, _S.CANCELLED, "no attempt is running"),
    Transition((_S.SCHEDULED, _S.QUEUED), Trigger.EXPIRE, _S.EXPIRED, "attempt = 0 and the deadline is over"),
    Transition((_S.FAILED, _S.EXPIRED, _S.CANCELLED), Trigger.RERUN, _S.QUEUED, "an operator asks"),
    Transition((_S.CANCELLED,), Trigger.RERUN_LATER, _S.SCHEDULED, "the same, before its time or the old lease's end"),
)

_TARGETS: dict[tuple[Status, Trigger], Status] = {
    (source, row.trigger): row.target for row in TRANSITIONS for source in row.sources
}


def target(status: Status, trigger: Trigger) -> Status | None:
    """Where `trigger` leads from `status`, or None if the table has no such row."""
    return _TARGETS.get((status, trigger))


def mermaid() -> str:
    """The table as a Mermaid state diagram: what `docs/lifecycle.md` shows."""
    moves = [
        f"    {source} --> {row.target}: {row.trigger}" for row in TRANSITIONS for source in row.sources or ("[*]",)
    ]
    ends = [f"    {status} --> [*]" for status in Status if status.done]
    return "\n".join(["stateDiagram-v2", *moves, *ends]) + "\n"
