"""One attempt at a task, from its grant to the end of its handler."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from backhaul.worker.attempts.inquiry import Inquiry
from backhaul.worker.claiming.token import Token
from backhaul.worker.kit.handler import Handler, RunIn
from backhaul.worker.reporting.reports import Reports
from backhaul.worker.timers import Stopped, Timer
from backhaul_contracts.claims import Grant

if TYPE_CHECKING:
    from backhaul.worker.processes.process_run import ProcessRun


class StopCause(StrEnum):
    """Why an attempt was asked to stop."""

    CANCELLED = "cancelled"
    """A client cancelled the task: it is reported when it has stopped."""
    TIMED_OUT = "timed out"
    """It ran for longer than it may: that is its outcome, whatever it still says."""
    LEAVING = "leaving"
    """The worker must let go of it: it is handed back when it has stopped, unless it ends by itself."""
    REPLACED = "replaced"
    """It is over as far as the ledger knows: nothing is reported."""


@dataclass(slots=True, eq=False)
class Wait:
    """A time in which an attempt waits for calls. `stopped` is its time-out, which stands still."""

    since: float
    stopped: Stopped | None
    calls: int = 0
    """How many are pending."""


class Attempt:
    """A grant with its handler, its reports, and the slot that it takes until its handler has really ended."""

    __slots__ = (
        "asking",
        "cause",
        "claimed_at",
        "ended",
        "ends_by",
        "grant",
        "handler",
        "interruptible",
        "noticed",
        "process",
        "reports",
        "run",
        "started_at",
        "timer",
        "token",
        "traceparent",
        "wait",
        "waited",
    )

    def __init__(
        self, grant: Grant, handler: Handler, reports: Reports, token: Token | None, claimed_at: float, now: float
    ) -> None:
        self.grant = grant
        self.handler = handler
        self.reports = reports
        self.token = token
        """The delivery that pays for its slot; None when that is settled, or never was."""
        self.claimed_at = claimed_at
        self.traceparent = grant.traceparent
        """What is traced as part of it."""
        self.started_at = now
        self.cause: StopCause | None = None
        self.ends_by: float | None = None
        """Until when it may take to stop, on the timeline of the worker's timers; None while nobody has asked."""
        self.ended = False
        """Whether its handler has: what it has left behind may ask for nothing more."""
        self.noticed = False
        """Whether its handler has seen that it should stop."""
        self.interruptible: asyncio.Task[Any] | None = None
        """What a stop interrupts: an async handler."""
        self.asking: dict[Inquiry, None] = {}
        """What its handler has submitted and waits for."""
        self.wait: Wait | None = None
        """While calls are pending, and until there is a slot for it again."""
        self.waited = 0.0
        """For how many seconds it has waited for calls: its time-out stood still."""
        self.process: ProcessRun | None = None
        """Its run in a child process, while there is one."""
        self.run: asyncio.Task[None] | None = None
        """All of its execution, from reading the input to the outcome."""
        self.timer: Timer | None = None

    @property
    def key(self) -> tuple[str, int]:
        return self.reports.key

    @property
    def may_submit(self) -> bool:
        """Whether the ledger takes tasks from it: not after a cancel, nor after its end."""
        return not self.ended and self.cause not in (StopCause.CANCELLED, StopCause.REPLACED)

    @property
    def in_thread(self) -> bool:
        return self.handler.run_in is RunIn.THREAD

    @property
    def is_blocking(self) -> bool:
        """Whether its handler is a `def`, which is asked to stop and may go on as if it were not."""
        return self.handler.run_in is not RunIn.LOOP

    def stop(self, cause: StopCause) -> bool:
        """Ask the handler to stop. Returns whether it had not been asked before.

        An async handler gets `CancelledError`, once; a thread finds `ctx.cancelled` true; a process that nobody waits
        for any more is killed. Whoever still waits for an answer when the attempt is over gets `CancelledError` too:
        there will be none.
        """
        first = self.cause is None
        if first or cause is StopCause.REPLACED:
            self.cause = cause
        if first and self.interruptible is not None:
            self.interruptible.cancel()
        elif (first and self.is_blocking) or cause is StopCause.REPLACED:
            self.close_inquiries()
        if self.process is not None and self.cause is cause:
            self.process.stop(cause)
        return first

    def close_inquiries(self) -> None:
        """Whoever waits for an answer on behalf of the attempt gets `CancelledError`."""
        for inquiry in self.asking:
            inquiry.close()

    def __str__(self) -> str:
        return f"{self.grant.kind} {self.grant.task_id}, attempt {self.grant.attempt}"
