"""A database that is there and does not let us work: who begins is told so in one sentence, with the remedy."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from asyncpg.exceptions import InternalClientError
from sqlalchemy import Connection, text
from sqlalchemy.exc import InterfaceError, OperationalError, ProgrammingError
from yarl import URL

from backhaul.core.clock import SystemClock
from backhaul.core.errors import BackhaulError, ConfigurationError, StoreUnavailable
from backhaul.store import SqlStore, check, inspect_store, open_store, upgrade
from backhaul.store.faults import beginning, unavailable
from backhaul.store.postgresql import PostgresRunner
from backhaul.store.urls import parse
from tests.conformance.store.conftest import RULES


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def user(database_url: str, owner: asyncpg.Connection) -> AsyncIterator[str]:
    """The URL of who may nothing in a database that is up to date."""
    await asyncio.to_thread(upgrade, database_url)
    name = f"user_{URL(database_url).path[-8:]}"
    await owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'user'")
    yield str(URL(database_url).with_user(name).with_password("user"))
    await owner.execute(f"DROP OWNED BY {name}")
    await owner.execute(f"DROP ROLE {name}")


def opened(url: str) -> SqlStore:
    return open_store(url, clock=SystemClock(), rules=RULES)


async def refused(url: str) -> str:
    """What the start of a role, the doctor and `db check` all say."""
    store = opened(url)
    try:
        with pytest.raises(BackhaulError) as raised:
            await store.start()
    finally:
        await store.stop()
    assert "\n" not in str(raised.value)
    return str(raised.value)


async def grant(owner: asyncpg.Connection, user: str, *rights: str) -> None:
    for right in rights:
        await owner.execute(f"GRANT {right} TO {URL(user).user}")


TABLES = "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public"
COUNTERS = "USAGE ON ALL SEQUENCES IN SCHEMA public"


@pytest.mark.parametrize(
    ("rights", "missing"),
    [
        ((), "does not let this user read backhaul_schema: GRANT to it"),
        (("SELECT ON backhaul_schema",), "does not let this user read and write api_keys (and "),
        (("SELECT ON ALL TABLES IN SCHEMA public", COUNTERS), "does not let this user read and write api_keys (and "),
        ((TABLES,), "does not let this user read and write public.outbox_id_seq: GRANT to it"),
    ],
)
async def test_a_right_that_is_missing_is_named(
    owner: asyncpg.Connection, user: str, rights: tuple[str, ...], missing: str
) -> None:
    await grant(owner, user, *rights)

    said = await refused(user)
    facts = await inspect_store(user)
    checked = await asyncio.to_thread(check, user)
    upgraded = await asyncio.to_thread(_upgraded, user) if not rights else None

    assert missing in said
    assert said == facts.misfit == checked
    assert upgraded is None or upgraded.endswith(": run this as the user who owns the tables, or may make them")


async def test_with_all_rights_a_user_who_owns_nothing_begins(owner: asyncpg.Connection, user: str) -> None:
    await grant(owner, user, TABLES, COUNTERS)
    store = opened(user)

    await store.start()

    await store.stop()
    assert (await inspect_store(user)).misfit is None


async def test_a_schema_that_may_not_be_used_is_not_taken_for_an_empty_one(
    owner: asyncpg.Connection, user: str
) -> None:
    await owner.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")

    said = await refused(user)
    upgraded = await asyncio.to_thread(_upgraded, user)

    assert "gives this user no schema to work in: GRANT to it USAGE ON SCHEMA public" in said
    assert "turns us away" in upgraded
    assert "run this as the user who owns the tables" in upgraded


async def test_a_right_that_is_taken_away_later_is_an_outage_with_its_remedy(
    owner: asyncpg.Connection, user: str
) -> None:
    await grant(owner, user, TABLES, COUNTERS)
    store = opened(user)
    await store.start()
    await owner.execute(f"REVOKE SELECT ON kinds FROM {URL(user).user}")

    with pytest.raises(StoreUnavailable, match=r"permission denied for table kinds\): GRANT to it"):
        await store.kinds()

    await store.stop()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": "wrong"}, "password authentication failed for user"),
        ({"user": "nobody"}, 'password authentication failed for user "nobody"'),
        ({"path": "/nosuch"}, 'turns us away (database "nosuch" does not exist): correct BACKHAUL_DATABASE_URL'),
        (
            {"query": {"sslmode": "require"}},
            "is no PostgreSQL that speaks TLS: correct host and port in BACKHAUL_DATABASE_URL, or",
        ),
        ({"query": {"sslmode": "sometimes"}}, "must be one of: disable, allow"),
        ({"query": {"sslmode": "verify-full"}}, "root certificate file"),
    ],
)
async def test_a_url_with_a_mistake_ends_the_start_and_every_command(
    database_url: str, change: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # where PostgreSQL's clients look for certificates
    monkeypatch.delenv("PGSSLROOTCERT", raising=False)
    ((part, value),) = change.items()
    url = str(getattr(URL(database_url), f"with_{part}")(value))

    told = await refused(url)
    with pytest.raises(ConfigurationError) as by_doctor:
        await inspect_store(url)
    with pytest.raises(ConfigurationError) as by_command:
        await asyncio.to_thread(check, url)

    assert said in told
    assert told == str(by_doctor.value) == str(by_command.value)


async def test_a_database_that_takes_no_writes_is_waited_for(database_url: str, owner: asyncpg.Connection) -> None:
    await asyncio.to_thread(upgrade, database_url)
    await owner.execute(f"ALTER DATABASE {URL(database_url).path[1:]} SET default_transaction_read_only = on")
    store = opened(database_url)

    with pytest.raises(StoreUnavailable, match=r"takes no writes: let BACKHAUL_DATABASE_URL lead to the primary"):
        await store.start()

    await store.stop()


async def test_a_database_of_another_application_is_left_as_it_is(database_url: str, owner: asyncpg.Connection) -> None:
    await owner.execute("CREATE TABLE tasks (id int PRIMARY KEY, title text)")

    told = await asyncio.to_thread(_upgraded, database_url)

    assert 'relation "tasks" already exists): give Backhaul a database of its own' in told
    assert await owner.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 1


def write(connection: Connection) -> None:
    connection.execute(text("DELETE FROM outbox"))


async def test_a_database_that_takes_writes_again_is_found_to_do_so(
    database_url: str, owner: asyncpg.Connection
) -> None:
    name = URL(database_url).path[1:]
    await asyncio.to_thread(upgrade, database_url)
    asked, written = (PostgresRunner(parse(database_url)) for _ in range(2))

    await owner.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(StoreUnavailable, match="takes no writes"):
        await asked.ping()
    with pytest.raises(StoreUnavailable, match="read-only transaction"):
        await written.execute(write)
    await owner.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = off")

    await asked.ping()
    await written.execute(write)
    for runner in (asked, written):
        await runner.stop()


async def test_free_connections_are_counted_as_an_ordinary_user_sees_them(
    owner: asyncpg.Connection, user: str, database_url: str
) -> None:
    await grant(owner, user, TABLES, COUNTERS)
    others = [await asyncpg.connect(database_url) for _ in range(5)]

    free = (await inspect_store(user)).free_connections
    seen_by_all = (await inspect_store(database_url)).free_connections
    await owner.execute(f"ALTER ROLE {URL(user).user} CONNECTION LIMIT 3")
    limited = (await inspect_store(user)).free_connections

    for other in others:
        await other.close()
    most = await owner.fetchval("SELECT current_setting('max_connections')::int")
    assert free is not None
    assert seen_by_all is not None
    assert abs(free - seen_by_all) <= 3  # other tests come and go
    assert free <= most - 3 - len(others)
    assert limited == 3


class Told(Exception):
    def __init__(self, sqlstate: str, words: str) -> None:
        super().__init__(words)
        self.sqlstate = sqlstate


def test_a_server_that_does_not_know_our_settings_is_too_old() -> None:
    told = Told("42704", 'unrecognized configuration parameter "plan_cache_mode"')

    with pytest.raises(ConfigurationError, match="it is too old: bring it to PostgreSQL 13"), beginning("x"):
        raise ProgrammingError("", {}, told)


@pytest.mark.parametrize(
    ("sqlstate", "remedy"),
    [
        ("53100", "make room on its disk"),
        ("53300", "raise max_connections, or run fewer processes"),
        ("25006", "let BACKHAUL_DATABASE_URL lead to the primary"),
        ("57P03", "look whether it runs"),
    ],
)
def test_an_outage_has_the_remedy_that_fits(sqlstate: str, remedy: str) -> None:
    outage = unavailable(OperationalError("", {}, Told(sqlstate, "no\nroom")), "postgresql://x")

    assert str(outage).startswith("the store postgresql://x is unavailable (no room): ")
    assert remedy in str(outage)


def test_what_the_driver_says_of_itself_is_told_in_our_words() -> None:
    translated = type("InterfaceError", (Exception,), {})()
    translated.__cause__ = InternalClientError("cannot switch to state 11; another operation (2) is in progress")

    outage = unavailable(InterfaceError("", {}, translated), "postgresql://x")

    assert str(outage) == (
        "the store postgresql://x is unavailable (the connection has broken): "
        "look whether it runs, and whether BACKHAUL_DATABASE_URL leads there"
    )


def _upgraded(url: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        upgrade(url)
    return str(raised.value)
