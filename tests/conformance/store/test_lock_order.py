"""The order in which PostgreSQL locks what transactions share: none holds what another one needs first."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from backhaul.store import SqlStore
from tests.conformance.store.conftest import Place
from tests.conformance.store.given import LEASE, accepted, beat, claim, draft

pytestmark = pytest.mark.parametrize("place", ["postgresql"], indirect=True)

WAITS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
TURNS = """
    SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE locktype = 'advisory' AND datname = current_database()
"""


@pytest.fixture
async def connection(place: Place) -> AsyncIterator[asyncpg.Connection]:
    """What another process does in the same database."""
    connection = await asyncpg.connect(place.url)
    yield connection
    await connection.close()


async def until_it_waits(connection: asyncpg.Connection) -> None:
    async with asyncio.timeout(4):
        while not await connection.fetchval(WAITS):
            await asyncio.sleep(0.01)


async def test_claims_take_their_turn_after_the_leases_of_all_their_workers(
    store: SqlStore, connection: asyncpg.Connection
) -> None:
    """Else two ledgers with claims of the same worker could each wait for what the other has."""
    await accepted(store, draft(), draft())
    workers = ["wrk_1", "wrk_2", "wrk_3"]
    await store.beat([beat(worker=worker) for worker in workers], LEASE)

    async with connection.transaction():
        await connection.execute("SELECT 1 FROM workers WHERE id = 'wrk_2' FOR UPDATE")
        claims = asyncio.create_task(store.claim([claim(worker=worker) for worker in workers], LEASE))
        await until_it_waits(connection)
        turns = await connection.fetchval(TURNS)

    answers, _ = await claims
    assert turns == 0
    assert sum(len(answer.snapshots) for answer in answers if answer is not None) == 2
