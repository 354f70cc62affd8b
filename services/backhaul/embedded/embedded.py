"""The embedded platform as a context manager."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from pydantic import SecretStr

from backhaul.broker.memory import MemoryBroker
from backhaul.core.clock import SystemClock
from backhaul.embedded.folder import MEMORY, DataFolder
from backhaul.settings import Settings
from backhaul.wiring import open_store
from backhaul.wiring.inprocess import InProcess, in_process
from backhaul.wiring.tracing import tracing
from backhaul.worker import Service


@asynccontextmanager
async def embedded(
    services: Sequence[Service],
    *,
    data: str = MEMORY,
    host: str = "127.0.0.1",
    port: int = 0,
    settings: Settings | None = None,
) -> AsyncIterator[InProcess]:
    """A running platform on SQLite and an in-process broker, serving HTTP at its `url` (port 0: any free one).

    With a folder as `data`, tasks survive the end of the process, however it came: what was running is run again.
    Raises `ConfigurationError` if the folder or the port cannot be had.
    """
    settings = settings or Settings()
    clock = SystemClock()
    with DataFolder(data) as folder:
        if settings.secret_key is None:
            settings = settings.model_copy(update={"secret_key": SecretStr(folder.secret_key)})
        store = open_store(settings, clock, url=folder.database_url)
        broker = MemoryBroker()
        with tracing(settings, "embedded") as tracer:
            async with in_process(
                services, store, broker, settings=settings, clock=clock, host=host, port=port, tracer=tracer
            ) as platform:
                yield platform
