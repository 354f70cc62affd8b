"""Metrics as Prometheus reads them: the numbers of all that runs in a process, gathered when they are asked for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from backhaul.core.census import Census
from backhaul.core.errors import StoreUnavailable
from backhaul.core.metrics import Labels, Metric, Reading, Shape, alone
from backhaul.core.ports.broker import Broker
from backhaul.core.ports.store import Store
from backhaul.wiring.lag import LAG, LoopLag
from backhaul.wiring.sharing import Shared

INFO = Metric("backhaul_info", Shape.GAUGE, "Always 1: which version runs here, and as what.", ("version", "role"))
UP = Metric("backhaul_up", Shape.GAUGE, "1 if the process reaches this `part` (`store`, `broker`), else 0.", ("part",))
RECONNECTS = Metric(
    "backhaul_broker_reconnects_total", Shape.COUNTER, "Connections to the broker that were lost and restored."
)
FAILURES = Metric(
    "backhaul_store_failures_total", Shape.COUNTER, "Calls of the database that found none, or no answer in time."
)
METRICS = (INFO, UP, RECONNECTS, FAILURES, LAG)

_PATIENCE = timedelta(seconds=2)

Source = Callable[[], Iterable[Reading]]


class Metrics:
    """Everything that one process has to tell. `role` is what it was started as; `source` is read at each scrape."""

    def __init__(self, role: str, source: Source, store: Store | None = None) -> None:
        self.lag = LoopLag()
        self._role = role
        self._source = source
        self._broker: Broker | None = None
        self._store = store
        self._census: Shared[Census] | None = None
        self._on_kinds: Callable[[Iterable[str]], None] = lambda _: None

    def watch(self, broker: Broker) -> None:
        """From now on, tell of the broker, too."""
        self._broker = broker

    def take_census(self, store: Store, on_kinds: Callable[[Iterable[str]], None]) -> None:
        """From now on, tell of all the platform, too; `on_kinds` hears of the kinds there are, before the numbers of
        this process are read."""
        self._census = Shared(store.census)
        self._on_kinds = on_kinds

    @asynccontextmanager
    async def measuring(self) -> AsyncIterator[None]:
        """Measure the event loop for as long as the block lasts."""
        lag = asyncio.create_task(self.lag.run())
        try:
            yield
        finally:
            lag.cancel()
            await asyncio.wait((lag,))

    async def scrape(self, accept: str) -> tuple[bytes, str]:
        """All metrics, and their media type, as a header `Accept` would have them."""
        from backhaul.wiring.exposition import exposed

        readings = [*self._of_process(), *await self._of_parts(), *self._source()]
        return await exposed(readings, accept)

    def _of_process(self) -> Iterator[Reading]:
        yield Reading(INFO, {(version_here(), self._role): 1})
        yield alone(LAG, self.lag.spread)
        if self._broker is not None:
            yield alone(RECONNECTS, self._broker.reconnects)
        if self._store is not None:
            yield alone(FAILURES, self._store.failures)

    async def _of_parts(self) -> list[Reading]:
        up: dict[Labels, float] = {} if self._broker is None else {("broker",): int(self._broker.connected)}
        found: Sequence[Reading] = ()
        if self._store is not None:
            up["store",] = 0
            with suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(_PATIENCE.total_seconds()):
                    await self._store.ping()
                    up["store",] = 1
                    found = await self._of_platform()
        return [Reading(UP, up), *found]

    async def _of_platform(self) -> list[Reading]:
        if self._census is None:
            return []
        census = await self._census.get()
        self._on_kinds(census.kinds)
        return list(census.readings())


@cache
def version_here() -> str:
    """Of this distribution, as it is installed. Looked for once: it is read from the disk."""
    try:
        return version("backhaul")
    except PackageNotFoundError:  # it runs from its sources
        return "unknown"
