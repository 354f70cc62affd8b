"""Inflicts the plan, heals what it has harmed, and notes both."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

from tests.faults.fleet import Fleet
from tests.faults.operators import Operator
from tests.faults.plan import BROKER, FaultKind, Planned
from tests.faults.process import Process
from tests.proof.history import History
from tests.proof.observations import Fault, Heal, WorkerLeft
from tests.support.postgresql import PrivatePostgreSQL
from tests.support.private import PrivateServer
from tests.support.rabbitmq import PrivateRabbitMQ

_STOPS_CODE = {FaultKind.KILL: "kill", FaultKind.PAUSE: "pause", FaultKind.FREEZE: "pause"}
"""What the checker calls those faults after which a worker's code did not run."""


_BREATH = timedelta(seconds=3)
"""How long a server is left alone after a fault: otherwise those that waited for it would join to one long outage."""


class Injector:
    """A target suffers one fault at a time; others may suffer at the same time."""

    def __init__(
        self,
        fleet: Fleet,
        broker: PrivateRabbitMQ,
        database: PrivatePostgreSQL,
        operator: Operator,
        history: History,
    ) -> None:
        self.inflicted: list[Planned] = []
        self.complaints: list[str] = []
        """What did not come back, or did not end when it was asked to."""
        self._fleet = fleet
        self._broker = broker
        self._database = database
        self._operator = operator
        self._history = history
        self._server_busy = {"broker": asyncio.Lock(), "database": asyncio.Lock()}

    async def run(self, planned: Iterable[Planned], until: timedelta) -> None:
        """Inflict it until `until`: what could not begin by then is left out. All is healed when this returns."""
        begin = asyncio.get_running_loop().time()
        end = begin + until.total_seconds()
        async with asyncio.TaskGroup() as group:
            for fault in planned:
                await _until(begin + fault.at.total_seconds())
                group.create_task(self._inflict(fault, end))
            await _until(end)

    async def _inflict(self, fault: Planned, until: float) -> None:
        name, arrow, server = fault.target.partition(">")
        lock = self._fleet.processes[name].busy if name in self._fleet.processes else self._server_busy[name]
        async with AsyncExitStack() as stack:
            if not arrow:  # a link may be harmed while its process is
                await stack.enter_async_context(lock)
            if asyncio.get_running_loop().time() > until:
                return
            self.inflicted.append(fault)
            harm = self._server(fault) if name in self._server_busy else self._harm(fault, name, server)
            async with harm:
                await asyncio.sleep(fault.length.total_seconds())

    @asynccontextmanager
    async def _harm(self, fault: Planned, name: str, server: str) -> AsyncIterator[None]:
        process = self._fleet.processes[name]
        workers = process.workers_now() if fault.kind in _STOPS_CODE else []
        self._note(Fault, fault, workers)
        if server:
            proxy = process.links[server]
            if fault.kind is not FaultKind.CUT:
                proxy.hold(fault.way)
            yield
            if fault.kind is not FaultKind.STALL:
                proxy.cut()
            proxy.release()
        elif fault.kind in {FaultKind.KILL, FaultKind.DRAIN, FaultKind.ASK}:
            await self._end(process, fault.kind)
            yield
            process.up()
        else:
            process.stand_still()
            yield
            process.go_on()
            self._note(Heal, fault, workers)
        if not await process.ready():
            self.complaints.append(f"{name} was not ready again within two minutes after {fault.kind}")
        if fault.kind not in {FaultKind.PAUSE, FaultKind.FREEZE}:
            self._note(Heal, fault)

    async def _end(self, process: Process, kind: FaultKind) -> None:
        if kind is FaultKind.ASK:
            left = await process.leave(self._operator.drain)
            self._history.add(*(WorkerLeft(worker=worker, at=datetime.now(UTC)) for worker in left))
            return
        if not await process.down(signal.SIGKILL if kind is FaultKind.KILL else signal.SIGTERM):
            self.complaints.append(f"{process.name}.{process.life} did not end within 20 s of SIGTERM")

    @asynccontextmanager
    async def _server(self, fault: Planned) -> AsyncIterator[None]:
        server: PrivateServer = self._broker if fault.target == BROKER else self._database
        self._note(Fault, fault)
        if fault.kind is FaultKind.STILL:
            server.freeze()
            yield
            server.thaw()
        elif fault.kind is FaultKind.ALARM:
            await self._broker.raise_memory_alarm()
            yield
            await self._broker.clear_memory_alarm()
        else:
            await asyncio.to_thread(server.stop if fault.kind is FaultKind.STOP else server.crash)
            yield
            await asyncio.to_thread(server.start)
        self._note(Heal, fault)
        await asyncio.sleep(_BREATH.total_seconds())

    def _note(self, what: type[Fault] | type[Heal], fault: Planned, workers: Iterable[str] = ()) -> None:
        now = datetime.now(UTC)
        self._history.add(what(kind=fault.kind, target=fault.target, at=now))
        for worker in workers:
            self._history.add(what(kind=_STOPS_CODE[fault.kind], target=worker, at=now))


async def _until(moment: float) -> None:
    await asyncio.sleep(moment - asyncio.get_running_loop().time())
