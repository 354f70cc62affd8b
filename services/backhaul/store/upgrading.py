"""Bringing a database to the schema that this version needs, and saying whether it is there: for the command line."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import URL, Connection
from sqlalchemy.pool import NullPool

from backhaul.core.clock import SystemClock
from backhaul.store import rights, versions
from backhaul.store.faults import told
from backhaul.store.runner import T, persist
from backhaul.store.urls import in_memory, parse, redacted

_OWN = "run this as the user who owns the tables, or may make them"


def upgrade(url: str) -> None:
    """Bring the database to the newest schema: in one transaction, safe to run from several places at once, and for
    nothing if it is there already. Not to be called from within an event loop.

    Raises `StoreUnavailable`, or `ConfigurationError` for a URL that cannot work and a user who may not do this.
    """
    _run(parse(url), versions.migrate, _OWN)


def check(url: str) -> str | None:
    """One sentence on why the schema is not what this version needs, with the remedy; None if it is.

    Raises as `upgrade` does, and is as little to be called from within an event loop.
    """
    parsed = parse(url)
    if _missing(parsed):
        return f"the store {redacted(parsed)} does not exist: run `backhaul db upgrade`"
    misfit = _run(parsed, versions.misfit if parsed.get_backend_name() == "sqlite" else rights.misfit)
    return None if misfit is None else f"the store {redacted(parsed)} {misfit}"


def _missing(url: URL) -> bool:
    """A SQLite file that is not there: to look into it would make it."""
    return url.get_backend_name() == "sqlite" and not in_memory(url) and not Path(str(url.database)).exists()


def _run(url: URL, act: Callable[[Connection], T], grant: str = rights.GRANT) -> T:
    try:
        if url.get_backend_name() == "sqlite":
            return _on_sqlite(url, act)
        return asyncio.run(_on_postgresql(url, act))
    except Exception as error:
        known = told(error, redacted(url), grant)
        if known is None:
            raise
        raise known from error


def _on_sqlite(url: URL, act: Callable[[Connection], T]) -> T:
    from backhaul.store.sqlite import sqlite_engine

    engine = sqlite_engine(url, SystemClock())
    try:
        return persist(engine, act)
    finally:
        engine.dispose()


async def _on_postgresql(url: URL, act: Callable[[Connection], T]) -> T:
    """Without a limit of time: a migration takes as long as its tables are large."""
    from backhaul.store.postgresql import postgresql_engine

    engine = postgresql_engine(url, {}, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(act)
    finally:
        await engine.dispose()
