"""What is special about SQLite: the clock is the one that was given, and a database is made when it is opened."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from backhaul.core.task.commands import Lose, Release
from backhaul.store import SqlStore, check, open_store, upgrade
from backhaul.testing.clock import ManualClock
from backhaul_contracts.tasks import Status
from tests.conformance.store.conftest import RULES
from tests.conformance.store.given import LEASE, accepted, advanced, beat, current, draft, started, succeeded

SECOND = timedelta(seconds=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["threads", "inline"])
def inline(request: pytest.FixtureRequest) -> bool:
    if request.param == "inline":
        request.getfixturevalue("blocking_allowed")
    return bool(request.param == "inline")


@pytest.fixture
async def store(inline: bool, clock: ManualClock) -> AsyncIterator[SqlStore]:
    """A store in memory."""
    store = open_store("sqlite:///:memory:", clock=clock, rules=RULES, inline=inline)
    await store.start()
    yield store
    await store.stop()


async def test_a_lease_ends_to_the_millisecond(store: SqlStore, clock: ManualClock) -> None:
    (record,) = await started(store)

    clock.advance(LEASE - timedelta(milliseconds=1))
    before = await store.lapsed(10)
    clock.advance(timedelta(milliseconds=1))
    after = await store.lapsed(10)

    assert (before, after) == ([], [Lose(record.id, 1)])


async def test_a_delay_is_over_when_the_clock_says_so(store: SqlStore, clock: ManualClock) -> None:
    (record,) = await accepted(store, draft(scheduled_for=clock.now() + SECOND, created_at=clock.now()))

    early = await store.overdue(10)
    clock.advance(SECOND)
    due = await store.overdue(10)

    assert (early, due) == ([], [Release(record.id)])


async def test_events_are_timed_by_the_clock(store: SqlStore, clock: ManualClock) -> None:
    (record,) = await started(store)
    clock.advance(timedelta(hours=3))

    done = await advanced(store, succeeded(record))

    assert (done.finished_at, done.retained_until) == (clock.now(), clock.now() + RULES.retention)


async def test_retention_is_measured_by_the_clock(store: SqlStore, clock: ManualClock) -> None:
    (record,) = await started(store)
    await advanced(store, succeeded(record))

    kept = await store.purge(10)
    clock.advance(RULES.retention)
    purged = await store.purge(10)

    assert (kept, purged) == (0, 1)


async def test_a_debt_is_handed_out_again_after_thirty_seconds(store: SqlStore, clock: ManualClock) -> None:
    _, dispatch = await store.accept([draft()])
    age = timedelta(seconds=5)

    young = await store.owed(age, 10)
    clock.advance(age)
    old = await store.owed(age, 10)
    clock.advance(timedelta(seconds=29))
    taken = await store.owed(age, 10)
    clock.advance(SECOND)
    again = await store.owed(age, 10)

    assert (young, old, taken, again) == ([], [dispatch], [], [dispatch])


async def test_a_worker_is_forgotten_a_day_after_its_last_beat(store: SqlStore, clock: ManualClock) -> None:
    await store.beat([beat()], LEASE)
    clock.advance(timedelta(days=1, seconds=-1))
    remembered = await store.workers()
    clock.advance(LEASE + 2 * SECOND)
    await store.purge(10)

    assert [worker.state for worker in remembered] == ["lost"]
    assert await store.workers() == []
    assert [leases.known for leases in await store.beat([beat(number=2)], LEASE)] == [False]


async def test_a_file_keeps_its_tasks(tmp_path: Path, clock: ManualClock) -> None:
    url = f"sqlite:///{tmp_path / 'kept.db'}"
    first = open_store(url, clock=clock, rules=RULES)
    await first.start()
    (record,) = await started(first)
    await first.stop()

    second = open_store(url, clock=clock, rules=RULES)
    await second.start()

    assert (await current(second, record.id)).record == record
    assert record.status is Status.RUNNING
    await second.stop()


def test_a_new_file_is_made_the_way_the_migrations_make_it(tmp_path: Path, clock: ManualClock) -> None:
    """Opening it takes a short cut past Alembic; both ways must lead to the same tables and indexes."""
    migrated, made = f"sqlite:///{tmp_path / 'migrated.db'}", f"sqlite:///{tmp_path / 'made.db'}"
    upgrade(migrated)

    store = open_store(made, clock=clock, rules=RULES)
    asyncio.run(store.start())
    asyncio.run(store.stop())

    assert check(made) is None
    assert described(made) == described(migrated)


def test_looking_for_the_schema_of_a_missing_file_does_not_make_it(tmp_path: Path) -> None:
    path = tmp_path / "missing.db"

    found = check(f"sqlite:///{path}")

    assert found is not None
    assert "backhaul db upgrade" in found
    assert not path.exists()


def described(url: str) -> dict[str, str]:
    """The statements that would make the tables and indexes, without what may be written in several ways."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT name, coalesce(sql, '') FROM sqlite_master")).all()
    engine.dispose()
    return {name: re.sub(r"[\s\"]|\b(states|tasks)\.", "", sql) for name, sql in found}
