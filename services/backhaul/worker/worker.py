"""A worker: one service at work, from its announcement to its drain."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from backhaul.core.clock import Clock
from backhaul.core.complaints import Complaints
from backhaul.core.errors import BrokerUnavailable, ConfigurationError
from backhaul.core.metrics import Labels, Spread
from backhaul.core.ports.broker import Broker
from backhaul.core.tracing import UNTRACED, Tracer
from backhaul.worker.drain import drain
from backhaul.worker.kit import resources
from backhaul.worker.kit.service import Service
from backhaul.worker.shift import Shift, Terms
from backhaul.worker.watchdog import Watchdog
from backhaul_contracts.ids import new_id
from backhaul_contracts.kinds import RefusedKind

_log = logging.getLogger("backhaul.worker")

_PAUSE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker at one moment. `running` handlers take slots, `stopping` are those of them that were asked to stop and
    have not; `held` attempts are not wholly recorded yet."""

    id: str
    service: str
    version: str
    slots: int
    running: int
    stopping: int
    held: int
    waiting: int
    """Attempts that wait for calls, without a slot."""
    state: str
    """`starting`, `ready` or `draining`."""


@dataclass(frozen=True, slots=True)
class WorkerCounts:
    """What a worker has counted: how many attempts of its kinds have ended in which way, how long they took, how much
    is kept until it is recorded, and how often the event loop was blocked."""

    kinds: Sequence[str]
    ends: Mapping[tuple[str, str], int]
    lengths: Mapping[Labels, Spread]
    unrecorded_bytes: int
    blockages: int


class Worker:
    """Runs the handlers of one service. A process with several services has a worker for each.

    It talks to the platform over `broker` alone, which must be started. Raises `ConfigurationError` for a service that
    cannot work.
    """

    def __init__(
        self,
        service: Service,
        broker: Broker,
        *,
        heartbeat: timedelta,
        max_result: int,
        drain_grace: timedelta,
        clock: Clock,
        tracer: Tracer = UNTRACED,
        worker_id: str | None = None,
    ) -> None:
        service.check()
        self.id = worker_id or new_id("wrk")
        self.announced = asyncio.Event()
        """Set when the platform knows the service's kinds and this worker takes their tasks."""
        self._service = service
        self._broker = broker
        self._terms = Terms(self.id, heartbeat, max_result, clock, tracer)
        self._drain_grace = drain_grace
        self._leave = asyncio.Event()
        self._watchdog = Watchdog()
        self._shift: Shift | None = None

    @property
    def ready(self) -> bool:
        """Whether it takes tasks now."""
        return self.announced.is_set() and not self._leave.is_set() and self._broker.connected

    def view(self) -> WorkerView:
        """What it does now."""
        shift = self._shift
        state = "draining" if self._leave.is_set() else "ready" if self.announced.is_set() else "starting"
        return WorkerView(
            id=self.id,
            service=self._service.name,
            version=self._service.version,
            slots=self._service.slots,
            running=shift.slots.running if shift else 0,
            stopping=shift.attempts.stopping_count if shift else 0,
            held=shift.attempts.held_count if shift else 0,
            waiting=shift.attempts.waiting_count if shift else 0,
            state=state,
        )

    @property
    def counts(self) -> WorkerCounts:
        """What has been counted since it began."""
        shift = self._shift
        return WorkerCounts(
            kinds=tuple(self._service.handlers),
            ends=shift.attempts.ends if shift else {},
            lengths=shift.attempts.lengths if shift else {},
            unrecorded_bytes=shift.reporter.unrecorded_bytes if shift else 0,
            blockages=self._watchdog.blockages,
        )

    def drain(self, grace: timedelta | None = None) -> None:
        """Take no more tasks; `run` returns when what is running has ended or, after `grace`, was handed back."""
        if grace is not None:
            self._drain_grace = grace
        self._leave.set()

    async def run(self, *, stop: asyncio.Event) -> None:
        """Work until `stop` is set (or `drain` is called, or the platform asks for it), then drain, then return.

        Handlers that do not stop may outlive it in their threads: the process is expected to end right after.
        Cancelled, it leaves at once, and reports nothing. Raises `ConfigurationError` if a resource cannot be opened,
        or, when it has drained, if the platform refuses its kinds.
        """
        async with resources.opened(self._service.resources_here()) as values:
            with self._watchdog:
                async with asyncio.TaskGroup() as group:
                    await self._work(group, values, stop)
        if self._shift is not None and self._shift.refused:
            raise ConfigurationError(_refusal(self._service, self._shift.refused))

    async def _work(self, group: asyncio.TaskGroup, values: dict[type, Any], stop: asyncio.Event) -> None:
        shift = self._shift = Shift(
            self._service,
            values,
            self._broker,
            group,
            self._leave,
            self._terms,
        )
        loops = [group.create_task(loop) for loop in (*shift.loops(), self._follow(stop))]
        try:
            await self._start(shift, group, loops)
            await self._leave.wait()
            await drain(shift, self._drain_grace)
        finally:
            await _close(shift)
            for loop in loops:
                loop.cancel()

    async def _follow(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._leave.set()

    async def _start(self, shift: Shift, group: asyncio.TaskGroup, loops: list[asyncio.Task[None]]) -> None:
        """mailbox → beat → answer → tokens; given up as soon as the worker is to leave."""
        if not await self._unless_leaving(self._persist(shift, shift.mailbox.open)):
            return
        loops.append(group.create_task(shift.beats.run()))
        if not await self._unless_leaving(shift.beats.known.wait()):
            return
        if not await self._unless_leaving(self._persist(shift, shift.consume)):
            return
        _log.info("worker %s takes tasks of %s", self.id, ", ".join(self._service.handlers) or "no kind")
        for listener in self._service.listeners.values():
            _log.info("worker %s hears %s", self.id, ", ".join(listener.patterns))
        self.announced.set()

    async def _persist(self, shift: Shift, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Call it until the broker has done it."""
        complaints = Complaints(_log, logging.WARNING)
        while True:
            try:
                return await call()
            except BrokerUnavailable as error:
                complaints.say("the broker", f"worker {self.id} waits for the broker: {error}")
                await shift.pause(_PAUSE)

    async def _unless_leaving(self, wait: Coroutine[Any, Any, Any]) -> bool:
        """Whether `wait` has ended before the worker is to leave."""
        waits = [asyncio.ensure_future(wait), asyncio.ensure_future(self._leave.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
        if not waits[0].done():
            return False
        waits[0].result()
        return True


def _refusal(service: Service, refused: Sequence[RefusedKind]) -> str:
    kinds = "; ".join(f"{one.kind}@{one.version} ({one.reason})" for one in refused)
    return (
        f"the kinds of service {service.name} {service.version} are refused, for they break what is promised: {kinds}: "
        'keep the promise, or give the kind a new version: @service.handler(…, version="2")'
    )


async def _close(shift: Shift) -> None:
    """Let go of the broker, and of what has outlived the drain."""
    shift.claims.abandon()
    shift.attempts.abandon()
    for listening in shift.listenings:
        listening.abandon()
        await listening.close()
    shift.event_threads.close()
    shift.threads.close()
    await shift.processes.close()
    for stream in shift.streams:
        await stream.close()
    await shift.mailbox.close()
