"""The heartbeat of a worker: it carries the lease of everything the worker holds, and repairs what was lost."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from backhaul_contracts.kinds import Announcement, RefusedKind
from backhaul_contracts.wire import Duration, Wire


class Held(Wire):
    """An attempt that the worker still answers for: running, or ended and not yet recorded."""

    task_id: str
    attempt: int
    token: str


class Beat(Wire):
    """One per worker and heartbeat, whatever the number of its tasks. `number` counts from 1 without holes.

    `calls` are the ids of the tasks that its attempts wait for.

    `state` `gone` is a farewell, the last beat of a worker that leaves in good order: nothing is granted to it any
    more, and what it still holds by record goes to others at once. Its id is never used again.
    """

    worker_id: str
    number: int = Field(ge=1)
    service: str
    version: str
    slots: int
    running: int
    state: Literal["ready", "draining", "gone"] = "ready"
    held: list[Held] = Field(default_factory=list)
    claims: list[str] = Field(default_factory=list)
    calls: list[str] = Field(default_factory=list)
    announcement: Announcement | None = None


class StopReason(StrEnum):
    CANCELLED = "cancelled"
    """A cancel was asked for: stop, and report that it has stopped."""
    REPLACED = "replaced"
    """The attempt is over as far as the ledger knows: stop, report nothing."""


class Stop(Wire):
    """An attempt the worker should stop. A hint on `backhaul.control`, repeated by every answer to a beat.

    `grace`: how long it may take, if that is not what its kind says.
    """

    task_id: str
    attempt: int
    reason: StopReason
    grace: Duration | None = None


class BeatAnswer(Wire):
    """`known` is false when the ledger wants the announcement again; `lease_seconds` is what the beat has bought.

    `calls_done` are those of the beat's calls that are over: their submission, repeated, is answered with the outcome.

    `drain`: an operator wants the worker to leave; it finishes what it can within its grace.

    `refused`: the announcement was not taken, as a whole, for these kinds. Its worker is not known, gets nothing to do,
    and leaves.
    """

    worker_id: str
    number: int
    known: bool
    lease_seconds: float
    stop: list[Stop] = Field(default_factory=list)
    calls_done: list[str] = Field(default_factory=list)
    drain: bool = False
    refused: list[RefusedKind] = Field(default_factory=list)
