"""What the checker finds."""

from dataclasses import dataclass
from enum import StrEnum

from tests.proof.observations import Observation


class Invariant(StrEnum):
    """The promises of the platform, by the numbers that the architecture gives them."""

    I1 = "I1"
    I2 = "I2"
    I3 = "I3"
    I4 = "I4"
    I5 = "I5"
    I6 = "I6"
    I7 = "I7"
    I8 = "I8"
    I9 = "I9"
    I10 = "I10"
    I11 = "I11"
    I12 = "I12"
    I13 = "I13"
    I14 = "I14"

    @property
    def promise(self) -> str:
        return _PROMISES[self]


_PROMISES = {
    Invariant.I1: "an acknowledged submit reaches exactly one terminal state",
    Invariant.I2: "a terminal state never changes",
    Invariant.I3: "one visible result",
    Invariant.I4: "at most one valid lease at any instant",
    Invariant.I5: "no accepted write from an older attempt",
    Invariant.I6: "attempts are contiguous, numbers monotonic",
    Invariant.I7: "what a client sees is gapless in seq and ends terminal",
    Invariant.I8: "no client sees both success and cancelled",
    Invariant.I9: "at the end queues, outbox and leases are empty",
    Invariant.I10: "claimable work resumes within two lease times of the last heal",
    Invariant.I11: "no handler code without a claim",
    Invariant.I12: "one task per idempotency key",
    Invariant.I13: "every event that a webhook asks for arrives, signed",
    Invariant.I14: "a worker that is asked to drain leaves, and its work is not lost by that",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant was broken: how, for which task (None: none alone), and the observations that show it."""

    invariant: Invariant
    text: str
    task_id: str | None = None
    evidence: tuple[Observation, ...] = ()

    def __str__(self) -> str:
        about = f" [{self.task_id}]" if self.task_id else ""
        shown = "".join(f"\n    {observation}" for observation in self.evidence)
        return f"{self.invariant} ({self.invariant.promise}){about}: {self.text}{shown}"
