"""A shift: all the parts of one worker at work, put together."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from backhaul.core.clock import Clock
from backhaul.core.ports.broker import Broker
from backhaul.core.tracing import UNTRACED, Tracer
from backhaul.worker.attempts.attempt import Attempt, StopCause
from backhaul.worker.attempts.attempts import Attempts
from backhaul.worker.attempts.calls import Calls
from backhaul.worker.attempts.exclusive import ExclusiveWatch
from backhaul.worker.attempts.execution import Duty, Execution
from backhaul.worker.attempts.submissions import Submissions
from backhaul.worker.attempts.threads import Threads
from backhaul.worker.attempts.waits import Waits
from backhaul.worker.beats import Beats
from backhaul.worker.claiming.claims import Claims
from backhaul.worker.claiming.credit import Credit
from backhaul.worker.claiming.slots import Slots
from backhaul.worker.claiming.token import Token, TokenStream
from backhaul.worker.kit.handler import Handler, RunIn
from backhaul.worker.kit.origin import origin
from backhaul.worker.kit.service import Service
from backhaul.worker.listening import Listening
from backhaul.worker.mailbox import Answer, Mailbox, reply_queue
from backhaul.worker.processes.processes import Processes
from backhaul.worker.reporting.reporter import Reporter
from backhaul.worker.timers import Timers
from backhaul_contracts.beats import Beat, BeatAnswer, Stop, StopReason
from backhaul_contracts.claims import ClaimAnswer, Grant
from backhaul_contracts.kinds import RefusedKind
from backhaul_contracts.reports import Ruling

_log = logging.getLogger("backhaul.worker")

_CAUSES = {StopReason.CANCELLED: StopCause.CANCELLED, StopReason.REPLACED: StopCause.REPLACED}


@dataclass(frozen=True, slots=True)
class Terms:
    """What a worker is told about itself and its surroundings."""

    worker_id: str
    heartbeat: timedelta
    max_result: int
    clock: Clock
    tracer: Tracer = UNTRACED


class Shift:
    """One run of a worker. Its `loops` run in the task group `runs`, beside the attempts."""

    def __init__(
        self,
        service: Service,
        resources: Mapping[type, Any],
        broker: Broker,
        runs: asyncio.TaskGroup,
        leave: asyncio.Event,
        terms: Terms,
    ) -> None:
        self.service = service
        self.leave = leave
        """Set when the worker is to end."""
        self.refused: list[RefusedKind] = []
        """The kinds that the platform does not take as they are announced."""
        self._terms = terms
        self._broker = broker
        self._back = asyncio.Event()
        worker_id = terms.worker_id
        self.timers = timers = Timers(terms.clock)
        self.slots = Slots(service.slots, service.handlers.values())
        self.reporter = Reporter(broker, timers, worker_id, on_over=self._over)
        self.submissions = Submissions(broker, timers, reply_queue(worker_id))
        self.mailbox = Mailbox(broker, worker_id, self._answered, self._stop, self.submissions.answered)
        self.threads = Threads(service.name, service.slots + service.max_blocked)
        self.processes = Processes(terms.max_result, timers)
        self.waits = self._waits()
        self.calls = Calls(self.submissions, self.waits, timers, terms.tracer)
        execution = self._execution(resources)
        self.attempts = Attempts(execution, self.reporter, self.slots, self.waits, timers, runs, terms.tracer)
        self.credit = Credit(broker, self.slots)
        self.beats = Beats(broker, timers, terms.heartbeat, self._describe)
        self.claims = self._claims()
        self.exclusive = ExclusiveWatch(
            self.beats, timers, terms.heartbeat, lambda: self.attempts.running, self._let_go
        )
        self.streams = self._streams()
        self.event_threads, self.listenings = self._listen(resources)
        self.claims.watch(self.streams)
        self.credit.watch(self.streams)
        broker.on_reconnect(self._reconnected)

    def loops(self) -> list[Coroutine[Any, Any, None]]:
        """What must run for as long as the shift lasts; beats come only when there is a mailbox for their answers."""
        return [self.timers.run(), self.reporter.run(), self.claims.run(), self.credit.run()]

    async def consume(self) -> None:
        """Let tokens and events come; the queues must exist. Raises `BrokerUnavailable`; then call it again."""
        for stream in self.streams:
            await stream.consume(self._broker)
        for listening in self.listenings:
            await listening.open()

    async def idle(self) -> None:
        """Return when nothing runs."""
        await self.attempts.idle()
        for listening in self.listenings:
            await listening.idle()

    async def pause(self, length: timedelta) -> None:
        """Until the broker is back, or `length` is over."""
        self._back.clear()
        await self.timers.within(length, self._back.wait())

    def _waits(self) -> Waits:
        return Waits(
            self.slots,
            self.timers,
            self.service.max_blocked,
            on_free=self._slot_freed,
            on_taken=self._slot_taken,
            let_go=self._let_go,
        )

    def _claims(self) -> Claims:
        return Claims(
            self._broker,
            self.timers,
            self.slots,
            self.reporter,
            self._terms.worker_id,
            beat=lambda: self.beats.number,
            on_grant=self._start,
            on_answered=self._slot_freed,
        )

    def _execution(self, resources: Mapping[type, Any]) -> Execution:
        return Execution(
            {kind: _duty(self.service, handler, resources) for kind, handler in self.service.handlers.items()},
            self.threads,
            self.processes,
            self.submissions,
            self.calls,
            clock=self._terms.clock,
            max_result=self._terms.max_result,
        )

    def _streams(self) -> list[TokenStream]:
        queues = dict.fromkeys(handler.queue for handler in self.service.handlers.values())
        return [
            TokenStream(
                queue,
                [kind for kind in self.slots.kinds.values() if kind.handler.queue == queue],
                self.slots,
                on_token=self.claims.wake,
                on_unbalanced=self._unbalanced,
            )
            for queue in queues
        ]

    def _listen(self, values: Mapping[type, Any]) -> tuple[Threads, list[Listening]]:
        listeners = self.service.listeners.values()
        threads = Threads(f"{self.service.name}-on", sum(each.slots for each in listeners if each.in_thread))
        return threads, [
            Listening(
                each,
                {name: values[wanted] for name, wanted in each.resolved().items()},
                self._broker,
                threads,
                self.timers,
                self._terms.clock,
            )
            for each in listeners
        ]

    def _describe(self, number: int, announce: bool) -> Beat:
        self.attempts.settle_tokens(self._terms.heartbeat)
        return Beat(
            worker_id=self._terms.worker_id,
            number=number,
            service=self.service.name,
            version=self.service.version,
            slots=self.slots.total,
            running=self.slots.running,
            state="draining" if self.leave.is_set() else "ready",
            held=self.attempts.held(),
            claims=self.claims.pending,
            calls=self.calls.pending,
            announcement=self.service.announcement() if announce else None,
        )

    def _start(self, grant: Grant, token: Token | None, claimed_at: float) -> None:
        self.attempts.start(grant, token, claimed_at)
        if self.service.has_exclusive:
            self.exclusive.renew()

    def _slot_freed(self) -> None:
        if self.waits.go_on():
            self._slot_taken()
        self.credit.check()
        self.claims.slot_freed()

    def _slot_taken(self) -> None:
        for stream in self.streams:
            stream.tighten()

    def _unbalanced(self) -> None:
        """Slots may be free that were reserved for tokens which are void now."""
        self.waits.go_on()
        self.credit.check()

    def _answered(self, answer: Answer) -> None:
        if isinstance(answer, ClaimAnswer):
            self.claims.answer(answer)
        elif isinstance(answer, BeatAnswer):
            self._beat_answered(answer)
        else:
            self.reporter.answered(answer)

    def _beat_answered(self, answer: BeatAnswer) -> None:
        self.beats.answered(answer)
        self.calls.done(answer.calls_done)
        for stop in answer.stop:
            self._stop(stop)
        if self.service.has_exclusive:
            self.exclusive.renew()
        self.refused = self.refused or answer.refused
        if answer.drain and not self.leave.is_set():
            _log.info("worker %s is asked to leave by an operator", self._terms.worker_id)
        if answer.drain or self.refused:
            self.leave.set()

    def _stop(self, stop: Stop) -> None:
        self.attempts.stop(stop.task_id, stop.attempt, _CAUSES[stop.reason], stop.grace)

    def _let_go(self, attempt: Attempt) -> None:
        """Its lease has a heartbeat to go; a process is killed well before that is over."""
        grace = min(attempt.handler.grace, self._terms.heartbeat / 2)
        self.attempts.let_go(attempt, grace)

    def _over(self, key: tuple[str, int], ruling: Ruling) -> None:
        self.attempts.over(key, ruling)

    def _reconnected(self) -> None:
        self._back.set()
        self.beats.beat_now()
        self.claims.reconnected()
        self.reporter.reconnected()


def _duty(service: Service, handler: Handler, resources: Mapping[type, Any]) -> Duty:
    signature = handler.resolved()
    if handler.run_in is RunIn.PROCESS:
        return Duty(handler, signature, {}, origin(service, handler))
    return Duty(handler, signature, {name: resources[wanted] for name, wanted in signature.resources.items()})
