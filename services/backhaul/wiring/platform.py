"""Roles put together: whatever runs in one process shares one store, one broker and one relay."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from backhaul.core.clock import Clock
from backhaul.core.errors import ConfigurationError, StoreUnavailable
from backhaul.core.messages.relay import Relay
from backhaul.core.metrics import Reading
from backhaul.core.ports.broker import Broker
from backhaul.core.ports.store import Store
from backhaul.core.readiness import lacks_broker
from backhaul.core.tracing import UNTRACED, Tracer
from backhaul.settings import Settings
from backhaul.wiring.beside import beside
from backhaul.wiring.metrics import Metrics

if TYPE_CHECKING:
    from backhaul.gateway import Gateway
    from backhaul.ledger import Ledger
    from backhaul.notifier import Notifier
    from backhaul.worker import Service, Worker


class Platform:
    """The roles of one process over a started store, and a broker that is started if any of them speaks to it: all but
    the notifier do."""

    def __init__(
        self,
        store: Store,
        broker: Broker,
        *,
        settings: Settings,
        clock: Clock,
        role: str = "platform",
        tracer: Tracer = UNTRACED,
    ) -> None:
        self.store = store
        self.broker = broker
        self.settings = settings
        self.clock = clock
        self.tracer = tracer
        self._relay = Relay(store, broker, clock)
        self.metrics = Metrics(role, self._readings, store)
        self.gateway: Gateway | None = None
        self.ledger: Ledger | None = None
        self.notifier: Notifier | None = None
        self.workers: list[Worker] = []

    def add_gateway(self) -> "Gateway":
        from backhaul.gateway import Gateway

        self.gateway = Gateway(
            self.store, self.broker, self._relay, settings=self.settings, clock=self.clock, tracer=self.tracer
        )
        self.gateway.scrape = self.metrics.scrape
        self._tell_all()
        return self.gateway

    def add_ledger(self, *, alone: bool = False) -> "Ledger":
        from backhaul.ledger import Ledger

        self.ledger = Ledger(
            self.store,
            self.broker,
            self._relay,
            settings=self.settings,
            clock=self.clock,
            tracer=self.tracer,
            alone=alone,
        )
        self._tell_all()
        return self.ledger

    def add_notifier(self) -> "Notifier":
        """Raises `ConfigurationError` without a secret key."""
        from backhaul.core.sealing import Vault
        from backhaul.notifier import Notifier

        key = self.settings.opened_secret_key
        if key is None:
            raise ConfigurationError(
                "a notifier cannot read the secrets that sign webhooks without BACKHAUL_SECRET_KEY: set it to what the "
                "gateways have, 32 or more random characters"
            )
        self.notifier = Notifier(self.store, Vault(key), settings=self.settings, clock=self.clock, tracer=self.tracer)
        return self.notifier

    def add_workers(self, services: Sequence["Service"]) -> None:
        self.workers.extend(
            build_workers(services, self.broker, settings=self.settings, clock=self.clock, tracer=self.tracer)
        )

    async def lacks(self) -> dict[str, str]:
        """What is down of that which the roles need, `store` and `broker`, each with a sentence."""
        speaks = self.gateway is not None or self.ledger is not None  # a notifier needs no broker
        trouble = lacks_broker(self.broker) if speaks else None
        down = {} if trouble is None else {"broker": f"{trouble}."}
        try:
            await self.store.ping()
        except StoreUnavailable:
            down["store"] = "The database does not answer."
        return down

    def _tell_all(self) -> None:
        self.metrics.watch(self.broker)
        self.metrics.take_census(self.store, self._relay.expect)

    def _readings(self) -> Iterator[Reading]:
        """What the roles here have to tell."""
        if self.gateway is not None or self.ledger is not None:
            yield from self._relay.readings()
        if self.gateway is not None:
            from backhaul.gateway import metrics as of_gateway

            yield from of_gateway.readings(self.gateway)
        if self.ledger is not None:
            from backhaul.ledger import metrics as of_ledger

            yield from of_ledger.readings(self.ledger)
        if self.notifier is not None:
            from backhaul.notifier import metrics as of_notifier

            yield from of_notifier.readings(self.notifier)
        if self.workers:
            from backhaul.worker import metrics as of_workers

            yield from of_workers.readings(self.workers)

    def misfits(self) -> list[str]:
        """What does not fit on the broker, and is to be mended by people."""
        return self.ledger.misfits if self.ledger is not None else []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """All roles at work. On leaving, workers drain first, while the ledger can still record what they hand back."""
        stop = asyncio.Event()
        async with beside(self._run(stop), end=stop.set):
            yield

    async def _run(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as roles:
            loops = [roles.create_task(loop) for loop in self._loops()]
            await run_workers(self.workers, stop)
            await stop.wait()
            for loop in loops:
                loop.cancel()

    def _loops(self) -> Iterator[Coroutine[Any, Any, None]]:
        if self.gateway is not None or self.ledger is not None:
            yield self._relay.run()
        if self.ledger is not None:
            yield self.ledger.run()
        if self.gateway is not None:
            yield self.gateway.run()
        if self.notifier is not None:
            yield self.notifier.run()


async def run_workers(workers: Sequence["Worker"], stop: asyncio.Event) -> None:
    """Run them until `stop` is set. If one of them cannot work, the others drain, and then its error is raised."""
    faults: list[ConfigurationError] = []

    async def run(worker: "Worker") -> None:
        try:
            await worker.run(stop=stop)
        except ConfigurationError as fault:
            faults.append(fault)
            stop.set()

    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(run(worker))
    if faults:
        raise faults[0]


def build_workers(
    services: Sequence["Service"], broker: Broker, *, settings: Settings, clock: Clock, tracer: Tracer = UNTRACED
) -> list["Worker"]:
    """A worker for each service."""
    from backhaul.worker import Worker

    return [
        Worker(
            service,
            broker,
            heartbeat=settings.heartbeat,
            max_result=settings.max_result,
            drain_grace=settings.drain_grace,
            clock=clock,
            tracer=tracer,
        )
        for service in services
    ]
