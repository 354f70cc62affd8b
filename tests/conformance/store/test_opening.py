"""Opening: by URL, and only a database whose schema fits."""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event, text

from backhaul.core.clock import SystemClock
from backhaul.core.errors import ConfigurationError, StoreUnavailable
from backhaul.core.task.commands import Cancel
from backhaul.store import SqlStore, check, open_store, upgrade, versions
from backhaul.store.postgresql import postgresql_engine
from backhaul.store.schema import METADATA
from backhaul.store.urls import parse
from backhaul_contracts.tasks import Status
from tests.conformance.store.conftest import RULES, Place
from tests.conformance.store.given import advanced, started
from tests.support.databases import create_database, drop_database
from tests.support.ports import free_port
from tests.support.servers import PostgreSQLServer

NEXT = f"{versions.GENERATION}99"
"""A later schema of the same generation."""
ADDS = re.compile(
    r"CREATE (TABLE|INDEX|UNIQUE INDEX tasks_key) |ALTER TABLE \w+ ADD COLUMN \w+ \w+(?!.* NOT NULL)|"
    r"ALTER TABLE \w+ ADD COLUMN \w+ \w+ DEFAULT .* NOT NULL$"
)
"""What older statements do without: a new column is empty or has a default, and only a new table has a unique index."""


@pytest.fixture
def empty_database(postgresql_server: PostgreSQLServer) -> Iterator[str]:
    """A PostgreSQL database without tables, for tests that have no loop."""
    url = asyncio.run(create_database(postgresql_server.url))
    yield url
    asyncio.run(drop_database(postgresql_server.url, url))


def opened(url: str) -> SqlStore:
    return open_store(url, clock=SystemClock(), rules=RULES)


async def test_a_store_is_stopped_as_often_as_one_likes(place: Place) -> None:
    never_started, first, second = place.open(), place.open(), place.open()

    await never_started.stop()
    await first.start()
    await first.stop()
    await first.stop()
    await second.start()

    await second.ping()
    assert await second.claimable() == {}
    await second.stop()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://localhost/tasks", "mysql is not supported"),
        ("nonsense", "cannot be read"),
        ("postgresql://localhost/tasks?sslmod=require", "unknown parameter, sslmod"),
    ],
)
def test_a_url_that_cannot_work_is_refused_with_what_would(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        opened(url)


async def test_a_database_without_our_tables_is_not_started(database_url: str) -> None:
    store = opened(database_url)

    with pytest.raises(ConfigurationError, match="run `backhaul db upgrade`") as raised:
        await store.start()

    assert password(database_url) not in str(raised.value)
    await store.stop()


async def test_a_database_that_nobody_serves_is_unavailable() -> None:
    store = opened(f"postgresql://us:secret@127.0.0.1:{free_port()}/tasks")

    with pytest.raises(StoreUnavailable, match="cannot be reached") as raised:
        await store.start()

    assert "secret" not in str(raised.value)
    await store.stop()


async def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    store = opened(f"sqlite:///{tmp_path / 'missing' / 'store.db'}")

    with pytest.raises(ConfigurationError, match=r"unable to open database file.*: make its folder"):
        await store.start()

    await store.stop()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database" * 1000)
    store = opened(f"sqlite:///{path}")

    with pytest.raises(ConfigurationError, match=r"file is not a database.*: correct BACKHAUL_DATABASE_URL"):
        await store.start()
    with pytest.raises(ConfigurationError, match="file is not a database"):
        await asyncio.to_thread(check, f"sqlite:///{path}")

    await store.stop()


def test_an_upgrade_makes_the_schema_fit(empty_database: str) -> None:
    before = check(empty_database)

    upgrade(empty_database)
    upgrade(empty_database)

    assert before is not None
    assert "holds no tables" in before
    assert check(empty_database) is None


def test_several_may_upgrade_at_once(empty_database: str) -> None:
    with ProcessPoolExecutor(3, get_context("spawn")) as processes:
        for done in [processes.submit(upgrade, empty_database) for _ in range(3)]:
            done.result()

    assert check(empty_database) is None


def test_a_schema_of_another_version_is_named(empty_database: str) -> None:
    upgrade(empty_database)
    asyncio.run(stamp(empty_database, "9999"))
    newer = check(empty_database)
    asyncio.run(stamp(empty_database, "0000"))
    older = check(empty_database)

    assert newer is not None
    assert "install the newer version" in newer
    assert older is not None
    assert f"needs {versions.HEAD}: run `backhaul db upgrade`" in older


def test_an_upgrade_leaves_alone_what_a_newer_version_has_made(empty_database: str) -> None:
    upgrade(empty_database)
    asyncio.run(stamp(empty_database, NEXT))
    upgrade(empty_database)
    fits = check(empty_database)
    asyncio.run(stamp(empty_database, "9999"))

    with pytest.raises(ConfigurationError, match="install the newer version"):
        upgrade(empty_database)

    assert fits is None


async def test_a_store_works_on_tables_to_which_a_newer_version_has_added(database_url: str) -> None:
    await asyncio.to_thread(upgrade, database_url)
    for table in METADATA.tables:
        await execute(database_url, f"ALTER TABLE {table} ADD COLUMN later INTEGER NOT NULL DEFAULT 0")
    await stamp(database_url, NEXT)
    store = opened(database_url)

    await store.start()
    (record,) = await started(store)
    done = await advanced(store, Cancel(record.id))

    assert done.status is Status.CANCELLING
    await store.stop()


def test_the_newest_migration_is_the_version_that_is_needed() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(versions.__file__).parent / "migrations"))

    assert ScriptDirectory.from_config(config).get_heads() == [versions.HEAD]


def test_the_migrations_make_the_tables_that_statements_are_written_for(empty_database: str) -> None:
    upgrade(empty_database)

    assert asyncio.run(differences(empty_database)) == []


def test_migrations_of_one_generation_only_add(empty_database: str) -> None:
    statements: list[str] = []

    asyncio.run(upgraded(empty_database, statements))
    changes = [statement for statement in statements if statement.startswith(("ALTER", "CREATE", "DROP"))]

    assert len(changes) > 20
    assert [change for change in changes if not ADDS.match(change)] == []


async def upgraded(url: str, statements: list[str]) -> None:
    """Notes the statements of all migrations."""
    engine = postgresql_engine(parse(url), {})
    event.listen(
        engine.sync_engine, "before_cursor_execute", lambda *said: statements.append(" ".join(said[2].split()))
    )
    async with engine.begin() as connection:
        await connection.run_sync(versions.migrate)
    await engine.dispose()


async def differences(url: str) -> list[object]:
    engine = postgresql_engine(parse(url), {})
    async with engine.connect() as connection:
        found = await connection.run_sync(
            lambda plain: compare_metadata(
                MigrationContext.configure(plain, opts={"version_table": versions.TABLE}), METADATA
            )
        )
    await engine.dispose()
    return list(found)


async def stamp(url: str, version: str) -> None:
    await execute(url, f"UPDATE {versions.TABLE} SET version_num = '{version}'")


async def execute(url: str, statement: str) -> None:
    engine = postgresql_engine(parse(url), {})
    async with engine.begin() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


def password(url: str) -> str:
    return str(parse(url).password)
