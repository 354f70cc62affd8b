"""The store on SQL: PostgreSQL for a deployment, SQLite for an embedded platform; chosen by the scheme of a URL."""

from backhaul.core.clock import Clock
from backhaul.core.task.transitions import Rules
from backhaul.store.inspecting import Moment, StoreFacts, inspect_store
from backhaul.store.runner import Runner
from backhaul.store.store import SqlStore
from backhaul.store.upgrading import check, upgrade
from backhaul.store.urls import parse

__all__ = ["Moment", "SqlStore", "StoreFacts", "check", "inspect_store", "open_store", "upgrade"]


def open_store(url: str, *, clock: Clock, rules: Rules, inline: bool = False) -> SqlStore:
    """The store at `url`, not yet started.

    `postgresql://…` measures time by the database's own clock; `sqlite:///FILE` and `sqlite:///:memory:` by `clock`,
    and make or migrate their tables when they start. `inline` lets SQLite run on the calling thread, for simulations
    that have to repeat themselves exactly.

    Raises `ConfigurationError` for a URL of another database.
    """
    parsed = parse(url)
    runner: Runner
    if parsed.get_backend_name() == "sqlite":
        from backhaul.store.sqlite import SqliteRunner

        runner = SqliteRunner(parsed, clock, inline=inline)
    else:
        from backhaul.store.postgresql import PostgresRunner

        runner = PostgresRunner(parsed)
    return SqlStore(runner, rules)
