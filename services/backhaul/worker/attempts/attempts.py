"""The attempts of a worker: which of them run, and which it still answers for."""

import asyncio
import logging
from collections import Counter
from datetime import timedelta

from backhaul.core.metrics import LENGTHS, Spreads
from backhaul.core.tracing import Side, Tracer, facts
from backhaul.worker.attempts import outcomes
from backhaul.worker.attempts.attempt import Attempt, StopCause
from backhaul.worker.attempts.execution import Execution
from backhaul.worker.attempts.waits import Waits
from backhaul.worker.claiming.early_stops import EarlyStops
from backhaul.worker.claiming.slots import Slots
from backhaul.worker.claiming.token import Token
from backhaul.worker.reporting import bodies
from backhaul.worker.reporting.reporter import Reporter
from backhaul.worker.timers import Timers
from backhaul_contracts.beats import Held
from backhaul_contracts.claims import Grant
from backhaul_contracts.reports import Ruling

_log = logging.getLogger("backhaul.worker")


class Attempts:
    """Starts attempts, stops them when asked, and knows when their slots are free.

    An attempt is *running* until its handler has really ended, and *held* until its outcome is recorded: either may
    come first. Its slot is given back by `waits`.
    """

    def __init__(
        self,
        execution: Execution,
        reporter: Reporter,
        slots: Slots,
        waits: Waits,
        timers: Timers,
        runs: asyncio.TaskGroup,
        tracer: Tracer,
    ) -> None:
        self._execution = execution
        self._reporter = reporter
        self._slots = slots
        self._timers = timers
        self._runs = runs
        self._waits = waits
        self._tracer = tracer
        self._held: dict[tuple[str, int], Attempt] = {}
        self._early = EarlyStops()
        self.running: dict[Attempt, None] = {}
        """In the order of their start."""
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = False
        self.ends: Counter[tuple[str, str]] = Counter()
        """How many attempts of a kind have ended in which way."""
        self.lengths = Spreads(LENGTHS)
        """How long they took, by kind."""

    @property
    def held_count(self) -> int:
        return len(self._held)

    @property
    def waiting_count(self) -> int:
        """How many wait for calls, without a slot."""
        return len(self._waits.attempts)

    @property
    def stopping_count(self) -> int:
        """How many have been asked to stop and still run."""
        return sum(attempt.cause is not None for attempt in self.running)

    def held(self) -> list[Held]:
        """What the worker answers for, as a beat says it."""
        grants = [attempt.grant for attempt in self._held.values()]
        return [Held(task_id=grant.task_id, attempt=grant.attempt, token=grant.token) for grant in grants]

    def start(self, grant: Grant, token: Token | None, claimed_at: float) -> None:
        """Run what was granted. Not if it was cancelled meanwhile; and hand it back if this worker is leaving or does
        not know the kind."""
        reports = self._reporter.open(grant.task_id, grant.attempt, grant.token)
        kind = self._slots.kinds.get(grant.kind)
        stopped = self._early.take(reports.key) or grant.cancelled
        if kind is None or self.draining or stopped:
            reports.close(bodies.STOPPED if stopped else bodies.HANDED_BACK)
            if token is not None:
                token.stream.settle(token)
            return
        attempt = Attempt(grant, kind.handler, reports, token, claimed_at, self._timers.now())
        self._held[attempt.key] = attempt
        self.running[attempt] = None
        self._idle.clear()
        self._slots.occupy(grant.kind)
        attempt.timer = self._timers.after(grant.timeout, lambda: self._time_out(attempt))
        attempt.run = self._runs.create_task(self._run(attempt))

    def stop(self, task_id: str, number: int, cause: StopCause, grace: timedelta | None = None) -> None:
        """Ask an attempt to stop within `grace` (None: that of its kind). If it is not one of ours, it may become one:
        its grant may still be on the way."""
        attempt = self._held.get((task_id, number))
        if attempt is None:
            self._early.add((task_id, number))
            return
        if cause is StopCause.REPLACED:
            self._reporter.forget(attempt.reports)
            del self._held[attempt.key]
        self._ask(attempt, cause, grace)

    def let_go(self, attempt: Attempt, grace: timedelta) -> None:
        """Ask one that runs to stop within `grace`, since nobody may hear of it any more: it is handed back."""
        self._ask(attempt, StopCause.LEAVING, grace)

    def over(self, key: tuple[str, int], ruling: Ruling) -> None:
        """The reporter has no more to do for an attempt, or its outcome is settled without its handler."""
        attempt = self._held.get(key)
        if attempt is None:
            return
        if ruling is not Ruling.REFUSED:
            del self._held[key]
        if ruling is not Ruling.RECORDED:
            self._ask(attempt, StopCause.REPLACED)

    def stop_all(self, cause: StopCause) -> None:
        """Ask all to stop within the grace of their kinds, even those that a cancel has given longer."""
        for attempt in list(self.running):
            self._ask(attempt, cause, attempt.handler.grace)

    def drain(self) -> None:
        """Start nothing any more; what waits for calls is handed back now, since it could wait for hours."""
        self.draining = self._waits.draining = True
        for attempt in self._waits.attempts:
            self._ask(attempt, StopCause.LEAVING)

    def hand_back_all(self) -> None:
        """The process is about to end, and with it what has not stopped by itself."""
        for attempt in self.running:
            _log.warning("%s has not stopped: it ends with this process, and is handed back", attempt)
            attempt.reports.close(bodies.HANDED_BACK)

    def abandon(self) -> None:
        """Wait for no handler any more."""
        self._waits.abandon()
        for attempt in list(self.running):
            if attempt.token is not None:
                attempt.token.delivery.requeue()
                attempt.token = None
            if attempt.run is not None:
                attempt.run.cancel()

    async def idle(self) -> None:
        """Return when no handler is running."""
        await self._idle.wait()

    def settle_tokens(self, age: timedelta) -> None:
        """Settle the tokens of attempts that have run for longer than `age`: no delivery is held for hours."""
        before = self._timers.now() - age.total_seconds()
        for attempt in self.running:
            if attempt.started_at > before:
                return
            if attempt.token is not None:
                attempt.token.stream.settle_early(attempt.token)
                attempt.token = None

    async def _run(self, attempt: Attempt) -> None:
        try:
            end = await self._traced(attempt)
            self.ends[attempt.grant.kind, end] += 1
            self.lengths[attempt.grant.kind,].observe(self._timers.now() - attempt.started_at)
        finally:
            self._end(attempt)

    async def _traced(self, attempt: Attempt) -> str:
        """How it has ended. What is logged meanwhile says which attempt it belongs to."""
        grant = attempt.grant
        about: dict[str, str | int] = {"task_id": grant.task_id, "attempt": grant.attempt, "kind": grant.kind}
        with self._tracer.span(f"run {grant.kind}", Side.CONSUMER, grant.traceparent, about) as span:
            attempt.traceparent = span.traceparent
            with facts(span.traceparent, **about):
                end = await self._execution.run(attempt)
            if end != "succeeded":
                span.fail(end)
            return end

    def _end(self, attempt: Attempt) -> None:
        del self.running[attempt]
        if attempt.timer is not None:
            self._timers.cancel(attempt.timer)
        attempt.ended = True
        attempt.close_inquiries()
        if not self.running:
            self._idle.set()
        self._waits.end(attempt)

    def _ask(self, attempt: Attempt, cause: StopCause, grace: timedelta | None = None) -> None:
        first = attempt.stop(cause)
        self._waits.hurry(attempt)
        if attempt in self.running and (first or grace is not None):
            self._watch(attempt, attempt.handler.grace if grace is None else grace)

    def _watch(self, attempt: Attempt, grace: timedelta) -> None:
        """Look again after the grace; if another was given before, after the shorter one."""
        ends_by = self._timers.now() + grace.total_seconds()
        if attempt.ends_by is not None and attempt.ends_by <= ends_by:
            return
        attempt.ends_by = ends_by
        if attempt.timer is not None:
            self._timers.cancel(attempt.timer)
        attempt.timer = self._timers.at(ends_by, lambda: self._overrun(attempt))

    def _time_out(self, attempt: Attempt) -> None:
        if attempt.in_thread:
            _log.warning("%s runs on past its time-out: its thread is asked to stop, and keeps its slot", attempt)
        self._ask(attempt, StopCause.TIMED_OUT)

    def _overrun(self, attempt: Attempt) -> None:
        """It was asked to stop and did not: a process is killed, which ends its run. Of all else the slot stays taken;
        a time-out is reported nevertheless."""
        if attempt.process is not None:
            _log.warning("%s was asked to stop (%s) and still runs: its process is killed", attempt, attempt.cause)
            attempt.process.kill()
            return
        _log.warning(
            "%s was asked to stop (%s) and still runs: it keeps its slot until it ends", attempt, attempt.cause
        )
        if attempt.cause is StopCause.TIMED_OUT and not attempt.handler.exclusive:
            attempt.reports.close(outcomes.of_overrun(attempt))
