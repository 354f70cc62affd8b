"""Looking at a database from outside: what it is, how it is set up, and what this user may do in it."""

import asyncio
import sqlite3
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile

from sqlalchemy import URL, Connection, text
from sqlalchemy.pool import NullPool

from backhaul.store import versions
from backhaul.store.faults import unavailable
from backhaul.store.schema import METADATA
from backhaul.store.upgrading import check
from backhaul.store.urls import parse, redacted

_PATIENCE = timedelta(seconds=6)
_SETTINGS = ("fsync", "full_page_writes", "synchronous_commit", "transaction_read_only")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A clock elsewhere: it said `told` between `asked` and `heard` of the clock here, both in UTC seconds."""

    told: float
    asked: float
    heard: float

    @property
    def ahead(self) -> timedelta:
        """By how much it is before ours, to within half of the time that asking took."""
        return timedelta(seconds=self.told - (self.asked + self.heard) / 2)

    @property
    def took(self) -> timedelta:
        return timedelta(seconds=self.heard - self.asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFacts:
    """A database that answers. What only PostgreSQL knows is left out of SQLite's."""

    name: str
    """Its URL without the password."""
    product: str
    version: str
    misfit: str | None
    """Why its schema is not what this version needs, and what to do; None if it is."""
    moment: Moment | None = None
    settings: dict[str, str] = field(default_factory=dict)
    standby: bool = False
    free_connections: int | None = None
    """How many more this user could open."""
    forbidden: tuple[str, ...] = ()
    """The tables that this user may not read and write."""

    @property
    def major(self) -> int:
        return int("".join(takewhile(str.isdigit, self.version)))  # there is 18beta1, too


async def inspect_store(url: str) -> StoreFacts:
    """What stands at `url`. Changes nothing; in particular it makes no file of SQLite.

    Raises `StoreUnavailable`, and `ConfigurationError` for a URL that cannot work.
    """
    parsed = parse(url)
    if parsed.get_backend_name() == "sqlite":
        misfit = await asyncio.to_thread(check, url)
        return StoreFacts(name=redacted(parsed), product="SQLite", version=sqlite3.sqlite_version, misfit=misfit)
    try:
        async with asyncio.timeout(_PATIENCE.total_seconds()):
            return await _on_postgresql(parsed)
    except Exception as error:
        outage = unavailable(error, redacted(parsed))
        if outage is None:
            raise
        raise outage from error


async def _on_postgresql(url: URL) -> StoreFacts:
    from backhaul.store.postgresql import postgresql_engine

    engine = postgresql_engine(url, {"statement_timeout": "5s"}, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_postgresql, redacted(url))
    finally:
        await engine.dispose()


def _postgresql(connection: Connection, name: str) -> StoreFacts:
    misfit = versions.misfit(connection)
    return StoreFacts(
        name=name,
        product="PostgreSQL",
        version=str(connection.scalar(text("SHOW server_version"))).split()[0],
        misfit=None if misfit is None else f"the store {name} {misfit}",
        moment=_moment(connection),
        settings={name: str(connection.scalar(text(f"SHOW {name}"))) for name in _SETTINGS},
        standby=bool(connection.scalar(text("SELECT pg_is_in_recovery()"))),
        free_connections=_free(connection),
        forbidden=() if misfit is not None else _forbidden(connection),
    )


def _moment(connection: Connection) -> Moment:
    asked = time.time()
    told: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return Moment(told=told.timestamp(), asked=asked, heard=time.time())


def _free(connection: Connection) -> int:
    free = text(
        "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
        " - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') + 1"
    )
    return int(connection.execute(free).scalar_one())


def _forbidden(connection: Connection) -> tuple[str, ...]:
    """A name is looked up as statements find it, by the search path."""
    allowed = text(
        "SELECT bool_and(has_table_privilege(to_regclass(:name), privilege))"
        " FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege"
    )
    names = sorted(METADATA.tables)
    return tuple(name for name in names if not connection.execute(allowed, {"name": name}).scalar())
