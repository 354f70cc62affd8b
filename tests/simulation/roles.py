"""The roles: each a process that is started as a deployment would, dies, is frozen, drains, and is started anew."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from pydantic import SecretStr

from backhaul.broker.memory import Hub
from backhaul.core.errors import BrokerUnavailable
from backhaul.core.ports.store import Store
from backhaul.gateway.api.calls import routes
from backhaul.gateway.api.routes import Route
from backhaul.gateway.api.websocket import WebSocket
from backhaul.settings import Settings
from backhaul.store import SqlStore
from backhaul.wiring.platform import Platform
from backhaul.worker import Worker
from tests.proof.observations import Fault, Heal, WorkerLeft
from tests.simulation.brokers import RemoteBroker
from tests.simulation.loop import Process, SimulatedClock
from tests.simulation.points import Points
from tests.simulation.service import SERVICE
from tests.simulation.stores import remote_store
from tests.simulation.weather import Weather
from tests.simulation.witness import Witness

_HEARTBEAT_TIMEOUT = 10.0
"""After this time without AMQP heartbeats the broker gives a connection up."""


@dataclass(slots=True)
class Ground:
    """What every role stands on."""

    hub: Hub
    store: SqlStore
    clock: SimulatedClock
    settings: Settings
    points: Points
    weather: Weather
    witness: Witness
    draw: random.Random
    slots: int = 4


class Role:
    """One place in a deployment: a process runs in it, or none. Names of processes are never used again."""

    kind = ""

    def __init__(self, ground: Ground, number: int) -> None:
        self.ground = ground
        self.name = f"{self.kind}-{number}"
        self.process: Process | None = None
        self.broker: RemoteBroker | None = None
        self.leaving = False
        self._generation = 0
        self._stop = asyncio.Event()
        self._on_death: list[Callable[[], None]] = []

    @property
    def up(self) -> bool:
        return self.process is not None

    def start(self) -> None:
        """Start a new process, if there is none."""
        if self.process is not None:
            return
        self._generation += 1
        self.leaving = False
        self._stop = asyncio.Event()
        process = self.process = Process(self.kind, f"{self.name}.{self._generation}")
        self.ground.witness.see(Heal(kind="start", target=process.name, at=self.ground.witness.now()))
        process.start(self._live(process))

    def drain(self) -> None:
        """SIGTERM."""
        self.leaving = True
        self._stop.set()

    def kill(self, how: str, *, noticed_after: float = 0) -> None:
        """SIGKILL; or the loss of the whole machine, which the broker notices only after a while."""
        process, broker = self.process, self.broker
        if process is None:
            return
        ground = self.ground
        ground.witness.met[f"{self.kind} killed"] += 1
        ground.witness.see(Fault(kind="kill", target=process.name, at=ground.witness.now()))
        ground.witness.note(f"{process.name} dies: {how}")
        process.kill()
        if broker is not None:
            if noticed_after:
                asyncio.get_running_loop().call_later(noticed_after, broker.hang_up)
            else:
                broker.hang_up()
        self._gone(process)

    def freeze(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after a time."""
        process, broker = self.process, self.broker
        if process is None or process.frozen:
            return
        ground, loop = self.ground, asyncio.get_running_loop()
        ground.witness.met[f"{self.kind} frozen"] += 1
        ground.witness.see(Fault(kind="pause", target=process.name, at=ground.witness.now()))
        process.freeze()
        if broker is not None and seconds > _HEARTBEAT_TIMEOUT:
            loop.call_later(_HEARTBEAT_TIMEOUT, broker.break_off, seconds - _HEARTBEAT_TIMEOUT + 0.1)
        loop.call_later(seconds, self._thaw, process)

    def heal(self) -> None:
        """What is frozen or cut off goes on."""
        if self.process is not None:
            self._thaw(self.process)
        if self.broker is not None:
            self.broker.mend()

    def when_gone(self, call: Callable[[], None]) -> Callable[[], None]:
        """Have `call` called when the process that runs now has gone; returns what takes that back."""
        self._on_death.append(call)
        calls = self._on_death
        return lambda: calls.remove(call) if call in calls else None

    def _thaw(self, process: Process) -> None:
        if process.frozen and not process.dead:
            self.ground.witness.see(Heal(kind="pause", target=process.name, at=self.ground.witness.now()))
            process.thaw()

    def _gone(self, process: Process) -> None:
        if self.process is not process:
            return
        self.process = self.broker = None
        calls, self._on_death = self._on_death, []
        for call in calls:
            call()

    async def _live(self, process: Process) -> None:
        ground = self.ground
        broker = RemoteBroker(ground.hub, ground.clock, process, ground.points, ground.weather, ground.witness.met)
        store = remote_store(ground.store, process, ground.points, ground.weather, ground.witness.met)
        try:
            await self._connect(broker)
            await self._work(process, store, broker, self._stop)
        except Exception as error:  # noqa: BLE001 - it is what the simulation is looking for
            ground.witness.crashed.append(f"{process.name} failed by itself: {_told(error)}")
        await broker.stop()
        self._ended(process)
        self._gone(process)

    def _ended(self, process: Process) -> None:
        """It has ended by itself."""
        self.ground.witness.note(f"{process.name} ends")

    async def _connect(self, broker: RemoteBroker) -> None:
        """As a supervisor does that starts a process again and again until its broker is there."""
        self.broker = broker
        while True:
            try:
                return await broker.start(required=self.kind != "gateway")
            except BrokerUnavailable:
                await asyncio.sleep(0.5)

    async def _work(self, process: Process, store: Store, broker: Any, stop: asyncio.Event) -> None:
        raise NotImplementedError


class GatewayRole(Role):
    """`calls`: its routes, while it is up; `sockets`: where its WebSockets are served."""

    kind = "gateway"
    calls: list[Route]
    sockets: WebSocket

    async def _work(self, process: Process, store: Store, broker: Any, stop: asyncio.Event) -> None:
        platform = Platform(store, broker, settings=self.ground.settings, clock=self.ground.clock)
        gateway = platform.add_gateway()
        self.calls, self.sockets = routes(gateway), WebSocket(gateway)
        async with platform.running():
            await stop.wait()
            gateway.drain()
            await asyncio.sleep(0.1)

    def _gone(self, process: Process) -> None:
        self.calls = []
        super()._gone(process)


class LedgerRole(Role):
    kind = "ledger"

    async def _work(self, process: Process, store: Store, broker: Any, stop: asyncio.Event) -> None:
        platform = Platform(store, broker, settings=self.ground.settings, clock=self.ground.clock)
        platform.add_ledger()
        async with platform.running():
            await stop.wait()


class NotifierRole(Role):
    """It speaks to the store and to receivers, and to no broker."""

    kind = "notifier"

    async def _connect(self, broker: RemoteBroker) -> None: ...

    async def _work(self, process: Process, store: Store, broker: Any, stop: asyncio.Event) -> None:
        platform = Platform(store, broker, settings=self.ground.settings, clock=self.ground.clock)
        platform.add_notifier()
        async with platform.running():
            await stop.wait()


class WorkerRole(Role):
    kind = "worker"
    worker: Worker | None = None

    async def _work(self, process: Process, store: Store, broker: Any, stop: asyncio.Event) -> None:
        settings = self.ground.settings
        self.worker = Worker(
            SERVICE.with_slots(self.ground.slots),
            broker,
            heartbeat=settings.heartbeat,
            max_result=settings.max_result,
            drain_grace=settings.drain_grace,
            clock=self.ground.clock,
            worker_id=process.name,
        )
        await self.worker.run(stop=stop)

    def _ended(self, process: Process) -> None:
        super()._ended(process)
        self.ground.witness.see(WorkerLeft(worker=process.name, at=self.ground.witness.now()))


LEASE = timedelta(seconds=3)
HEARTBEAT = timedelta(seconds=1)
_TRIES = 60
"""Of a webhook: receivers that are well in the end get everything."""


@cache
def settings(shards: int) -> Settings:
    """Read once: looking into the environment takes longer than many a seed's second."""
    return Settings(
        lease=LEASE,
        heartbeat=HEARTBEAT,
        ledger_shards=shards,
        drain_grace=timedelta(milliseconds=500),
        secret_key=SecretStr("as long as a secret key has to be"),
        webhook_schedule=(timedelta(0), *[timedelta(seconds=1)] * _TRIES),
    )


def _told(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_told(each) for each in error.exceptions)
    return f"{type(error).__name__}: {error}"
