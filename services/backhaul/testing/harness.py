"""The harness: everything a service meets in production, in one process, in memory."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import httpx

from backhaul.broker.memory import Faults, MemoryBroker
from backhaul.client import AsyncClient, AsyncTask
from backhaul.core.clock import Clock, SystemClock
from backhaul.core.tracing import UNTRACED, Tracer
from backhaul.settings import Settings
from backhaul.testing.crew import Crew
from backhaul.testing.trouble import Trouble
from backhaul.wiring import open_store
from backhaul.wiring.inprocess import in_process
from backhaul.worker import Service


class Harness:
    """An async context manager: inside it, the platform is up and the services have announced their kinds.

    `client` is a real client over a loopback port; `http` an httpx client on the application itself; `faults` loses,
    repeats, delays and reorders messages by a seed, takes the broker away, and kills workers.

    `clock`: a `ManualClock` moves only when it is told to. `faults`: how likely they are from the start. `settings`: by
    their names without `BACKHAUL_`. `data`: a file for the database in place of memory.
    """

    client: AsyncClient
    http: httpx.AsyncClient
    faults: Trouble
    url: str

    def __init__(
        self,
        *services: Service,
        clock: Clock | None = None,
        faults: Faults | None = None,
        settings: Mapping[str, Any] | None = None,
        data: str = ":memory:",
        tracer: Tracer = UNTRACED,
    ) -> None:
        self._services = services
        self.clock = clock or SystemClock()
        self._faults = faults
        self.settings = Settings(**{"drain_grace": timedelta(seconds=1), **(settings or {})})
        self._data = data
        self._tracer = tracer
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def submit(self, kind: str, input: Any = None, **options: Any) -> AsyncTask:
        """Submit a task, as a client would; the options are those of `AsyncClient.submit`."""
        return await self.client.submit(kind, input, **options)

    async def _start(self, stack: AsyncExitStack) -> None:
        store = open_store(self.settings, self.clock, url=f"sqlite:///{self._data}")
        self.broker = MemoryBroker(clock=self.clock, faults=self._faults)
        running = await stack.enter_async_context(
            in_process((), store, self.broker, settings=self.settings, clock=self.clock, tracer=self._tracer)
        )
        self.url = running.url
        self.platform = running.platform
        crew = Crew(self.platform, self._services)
        await stack.enter_async_context(crew.working())
        self.faults = Trouble(self.broker.hub, crew)
        transport = httpx.ASGITransport(app=running.app)
        self.http = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1"))
        self.client = await stack.enter_async_context(AsyncClient(running.url, api_key=""))
