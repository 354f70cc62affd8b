"""Looking at a database from outside: what it is, how it is set up, and what this user may do in it."""

import asyncio
import sqlite3
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile

from sqlalchemy import URL, Connection, text
from sqlalchemy.pool import NullPool

from backhaul.store import rights
from backhaul.store.faults import told
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
    """Why its schema is not what this version needs, or this user may not use it, and what to do; None if all is well.
    """
    moment: Moment | None = None
    settings: dict[str, str] = field(default_factory=dict)
    standby: bool = False
    free_connections: int | None = None
    """How many more this user could open."""

    @property
    def writable(self) -> bool:
        return not self.standby and self.settings.get("transaction_read_only") != "on"

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
        known = told(error, redacted(parsed))
        if known is None:
            raise
        raise known from error


async def _on_postgresql(url: URL) -> StoreFacts:
    from backhaul.store.postgresql import postgresql_engine

    engine = postgresql_engine(url, {"statement_timeout": "5s"}, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_postgresql, redacted(url))
    finally:
        await engine.dispose()


def _postgresql(connection: Connection, name: str) -> StoreFacts:
    misfit = rights.misfit(connection)
    return StoreFacts(
        name=name,
        product="PostgreSQL",
        version=str(connection.scalar(text("SHOW server_version"))).split()[0],
        misfit=None if misfit is None else f"the store {name} {misfit}",
        moment=_moment(connection),
        settings={name: str(connection.scalar(text(f"SHOW {name}"))) for name in _SETTINGS},
        standby=bool(connection.scalar(text("SELECT pg_is_in_recovery()"))),
        free_connections=_free(connection),
    )


def _moment(connection: Connection) -> Moment:
    asked = time.time()
    told: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return Moment(told=told.timestamp(), asked=asked, heard=time.time())


def _free(connection: Connection) -> int:
    """Only what every user may see is counted: of the sessions of others `pg_stat_activity` hides almost everything."""
    return int(connection.execute(_FREE).scalar_one())


# 16 and newer keep `reserved_connections` for some users, beside those for superusers. A limit of -1 is none. Our own
# connection is free again in a moment.
_FREE = text(
    "SELECT 1 + least("
    " current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
    "  - coalesce(current_setting('reserved_connections', true), '0')::int"
    "  - (SELECT sum(numbackends) FROM pg_stat_database),"
    " (SELECT nullif(datconnlimit, -1) - numbackends FROM pg_database d JOIN pg_stat_database s ON s.datid = d.oid"
    "  WHERE d.datname = current_database()),"
    " (SELECT nullif(rolconnlimit, -1) - (SELECT count(*) FROM pg_stat_activity WHERE usename = current_user)"
    "  FROM pg_roles WHERE rolname = current_user))"
)
