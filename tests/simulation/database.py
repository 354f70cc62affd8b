"""One SQLite database in memory for every seed of a process: set back to an empty schema, never migrated again."""

import random
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool

from backhaul.core.clock import Clock
from backhaul.core.task.transitions import Rules
from backhaul.store import SqlStore, functions, versions
from backhaul.store.runner import T


class InlineRunner:
    """A `Runner` on one connection that is never given back: between two turns of the event loop, and at once.

    Asking a pool for a connection and letting SQLAlchemy begin and end would cost more than most transactions do.
    """

    failures = 0

    def __init__(self) -> None:
        engine = create_engine("sqlite://", poolclass=StaticPool)
        self._connection = engine.connect()
        driver: Any = self._connection.connection.driver_connection
        driver.isolation_level = None
        self.raw = driver

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def ping(self) -> None: ...

    async def transact(self, act: Callable[[Connection], T]) -> T:
        return self.at_once(act)

    async def execute(self, act: Callable[[Connection], T]) -> T:
        return self.at_once(act)

    async def read(self, act: Callable[[Connection], T]) -> T:
        return act(self._connection)

    def at_once(self, act: Callable[[Connection], T]) -> T:
        self.raw.execute("BEGIN IMMEDIATE")
        try:
            result = act(self._connection)
        except BaseException:
            self.raw.execute("ROLLBACK")
            raise
        self.raw.execute("COMMIT")
        return result


class Database:
    """What statements are compiled to is kept from seed to seed: it costs far more than all that a seed does."""

    def __init__(self) -> None:
        self.runner = InlineRunner()
        self.runner.at_once(versions.create)
        self.empty = sqlite3.connect(":memory:")
        self.runner.raw.backup(self.empty)

    def fresh(self, clock: Clock, draw: random.Random, lease: timedelta) -> SqlStore:
        """An empty store whose time is that of `clock`."""
        self.empty.backup(self.runner.raw)
        functions.install(self.runner.raw, clock)
        return SqlStore(self.runner, Rules(retention=timedelta(hours=1), draw=draw.random, lease=lease))


_databases: list[Database] = []


def database() -> Database:
    """This process's only one."""
    if not _databases:
        _databases.append(Database())
    return _databases[0]
