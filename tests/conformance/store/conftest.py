"""A store for each test: PostgreSQL, SQLite in its own threads, and SQLite on the calling thread."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from backhaul.core.clock import SystemClock
from backhaul.core.task.transitions import Rules
from backhaul.store import SqlStore, open_store, upgrade
from tests.support.databases import create_database, database_name, drop_database
from tests.support.servers import PostgreSQLServer

RULES = Rules(retention=timedelta(hours=1), draw=lambda: 0.5)


@dataclass(frozen=True)
class Place:
    """Where a store is kept, and how its statements are run."""

    url: str
    inline: bool = False

    def open(self, rules: Rules = RULES) -> SqlStore:
        """One more store on it, as another process would open it."""
        return open_store(self.url, clock=SystemClock(), rules=rules, inline=self.inline)


@pytest.fixture(scope="session")
def migrated(postgresql_server: PostgreSQLServer) -> Iterator[str]:
    """A PostgreSQL database at the newest schema, to be copied."""
    url = asyncio.run(create_database(postgresql_server.url))
    upgrade(url)
    yield database_name(url)
    asyncio.run(drop_database(postgresql_server.url, url))


@pytest.fixture(params=["sqlite", "inline", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty database of this test's own."""
    if request.param == "inline":
        request.getfixturevalue("blocking_allowed")
    if request.param != "postgresql":
        yield Place(f"sqlite:///{tmp_path / 'store.db'}", inline=request.param == "inline")
        return
    server: PostgreSQLServer = request.getfixturevalue("postgresql_server")
    url = asyncio.run(create_database(server.url, template=request.getfixturevalue("migrated")))
    yield Place(url)
    asyncio.run(drop_database(server.url, url))


@pytest.fixture
async def store(place: Place) -> AsyncIterator[SqlStore]:
    """A started store."""
    store = place.open()
    await store.start()
    yield store
    await store.stop()


@pytest.fixture
async def other(place: Place, store: SqlStore) -> AsyncIterator[SqlStore]:
    """A second store on the same database, as in another process."""
    other = place.open()
    await other.start()
    yield other
    await other.stop()
