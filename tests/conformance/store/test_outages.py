"""Outages: a database that is gone, slow or frozen is told apart from an answer, in time, and no restart is needed."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import asyncpg
import pytest

from backhaul.core.clock import SystemClock
from backhaul.core.errors import StoreUnavailable
from backhaul.core.task.commands import Cancel
from backhaul.core.task.transitions import Change
from backhaul.store import SqlStore, open_store, upgrade
from tests.conformance.store.conftest import RULES
from tests.conformance.store.given import accepted, draft
from tests.support.postgresql import PrivatePostgreSQL


@pytest.fixture
async def store(private_postgresql: PrivatePostgreSQL) -> AsyncIterator[SqlStore]:
    """A store on a server that this module may treat as it likes."""
    await asyncio.to_thread(upgrade, private_postgresql.url)
    store = open_store(private_postgresql.url, clock=SystemClock(), rules=RULES)
    await store.start()
    yield store
    await store.stop()


async def test_a_restarted_database_is_used_again_at_once(
    store: SqlStore, private_postgresql: PrivatePostgreSQL
) -> None:
    (record,) = await accepted(store, draft())

    await asyncio.to_thread(private_postgresql.restart)

    assert await store.seqs([record.id]) == {record.id: 2}
    assert len(await accepted(store, draft())) == 1


async def test_a_stopped_database_is_unavailable_until_it_is_back(
    store: SqlStore, private_postgresql: PrivatePostgreSQL
) -> None:
    await asyncio.to_thread(private_postgresql.kill)

    with pytest.raises(StoreUnavailable) as raised:
        await store.accept([draft()])
    with pytest.raises(StoreUnavailable):
        await store.ping()
    await asyncio.to_thread(private_postgresql.start)

    assert "backhaul:***@" in str(raised.value)
    assert store.failures == 2
    await store.ping()
    assert len(await accepted(store, draft())) == 1


async def test_what_was_answered_survives_a_power_cut(store: SqlStore, private_postgresql: PrivatePostgreSQL) -> None:
    records = await accepted(store, *(draft() for _ in range(50)))

    await asyncio.to_thread(private_postgresql.kill)
    await asyncio.to_thread(private_postgresql.start)

    assert len(await store.seqs([record.id for record in records])) == 50


async def test_a_frozen_database_is_noticed_in_time(store: SqlStore, private_postgresql: PrivatePostgreSQL) -> None:
    await accepted(store, draft())
    await asyncio.to_thread(private_postgresql.freeze)

    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="in time"):
        await store.ping()
    passed = time.monotonic() - began
    await asyncio.to_thread(private_postgresql.thaw)

    assert 1.5 < passed < 3
    assert len(await accepted(store, draft())) == 1


async def test_a_row_that_somebody_keeps_locked_is_not_waited_for_without_end(
    store: SqlStore, private_postgresql: PrivatePostgreSQL
) -> None:
    (record,) = await accepted(store, draft())
    holder = await asyncpg.connect(private_postgresql.url)
    async with holder.transaction():
        await holder.execute("SELECT 1 FROM states WHERE task_id = $1 FOR UPDATE", record.id)

        with pytest.raises(StoreUnavailable, match="statement timeout"):
            await store.advance([Cancel(record.id)])

    (verdict,), _ = await store.advance([Cancel(record.id)])
    assert isinstance(verdict, Change)
    await holder.close()


async def test_a_cancelled_caller_leaves_no_connection_behind(store: SqlStore) -> None:
    for number in range(30):
        with suppress(TimeoutError):
            async with asyncio.timeout(number / 10_000):
                await store.accept([draft() for _ in range(20)])

    assert len(await accepted(store, draft())) == 1


async def test_more_callers_than_connections_are_all_served(store: SqlStore) -> None:
    answers = await asyncio.gather(*(store.accept([draft()]) for _ in range(100)))

    assert len(answers) == 100
