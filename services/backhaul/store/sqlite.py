"""SQLite: transactions in a thread of their own, or on the calling thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.pool import StaticPool

from backhaul.core.clock import Clock
from backhaul.store import functions, versions
from backhaul.store.faults import beginning, unavailable
from backhaul.store.runner import T, persist
from backhaul.store.urls import in_memory, redacted

_PRAGMAS = ("journal_mode = WAL", "synchronous = NORMAL", "temp_store = MEMORY")
_PING = timedelta(seconds=2)
_BUSY = timedelta(seconds=1.5)
"""How long a transaction waits for another process before it is tried anew."""


class SqliteRunner:
    """Writes take turns in one thread; reads go past them in another, on a connection of their own.

    `inline`: everything happens on the calling thread, between two turns of the event loop, so that a simulation with
    a fixed seed runs the same way each time. A database in memory has one connection, for writes and reads.
    """

    def __init__(self, url: URL, clock: Clock, *, inline: bool) -> None:
        self._name = redacted(url)
        self.failures = 0
        writer = sqlite_engine(url, clock)
        self._writer = Lane(writer, threaded=not inline)
        alone = inline or in_memory(url)
        self._reader = self._writer if alone else Lane(sqlite_engine(url, clock, writing=False), threaded=True)

    async def start(self) -> None:
        """The database is made, or brought to the newest schema: it is this platform's alone."""
        with beginning(self._name):
            await self.transact(versions.ensure)

    async def stop(self) -> None:
        for lane in {self._reader, self._writer}:
            await lane.close()

    async def ping(self) -> None:
        await self._run(self._reader, _answer, _PING.total_seconds())

    async def transact(self, act: Callable[[Connection], T]) -> T:
        return await self._run(self._writer, act)

    async def execute(self, act: Callable[[Connection], T]) -> T:
        return await self._run(self._writer, act)

    async def read(self, act: Callable[[Connection], T]) -> T:
        return await self._run(self._reader, act)

    async def _run(self, lane: "Lane", act: Callable[[Connection], T], limit: float | None = None) -> T:
        try:
            async with asyncio.timeout(limit):
                return await lane.run(act)
        except Exception as error:
            outage = unavailable(error, self._name)
            if outage is None:
                raise
            self.failures += 1
            raise outage from error


class Lane:
    """One connection and, if `threaded`, the thread that has it to itself."""

    def __init__(self, engine: Engine, *, threaded: bool) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1, "backhaul-store") if threaded else None

    async def run(self, act: Callable[[Connection], T]) -> T:
        """A caller that is cancelled does not wait for its transaction, which ends by itself."""
        if self._thread is None:
            return persist(self._engine, act)
        return await asyncio.get_running_loop().run_in_executor(self._thread, persist, self._engine, act)

    async def close(self) -> None:
        """Safe to call twice. What has begun is finished first."""
        if self._thread is not None:
            await asyncio.to_thread(self._thread.shutdown)
        self._engine.dispose()


def _answer(connection: Connection) -> None:
    connection.execute(text("SELECT 1"))


def sqlite_engine(url: URL, clock: Clock, *, writing: bool = True) -> Engine:
    """An engine with one connection, for one thread at a time."""
    engine = create_engine(
        url,
        poolclass=StaticPool,
        connect_args={"check_same_thread": False, "timeout": _BUSY.total_seconds()},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: object) -> None:
        connection.isolation_level = None  # transactions begin where we say so
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        functions.install(connection, clock)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that will write says so at once: none has to be given up halfway because of another one.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine
