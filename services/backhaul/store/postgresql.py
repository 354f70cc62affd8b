"""PostgreSQL: transactions on a pool of asyncpg connections."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import URL, Connection, Engine, event, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import greenlet_spawn

from backhaul.core.deadlines import Deadline
from backhaul.core.errors import ConfigurationError, StoreUnavailable
from backhaul.store import rights
from backhaul.store.faults import WRITABLE, beginning, read_only, unavailable
from backhaul.store.runner import T, persist
from backhaul.store.urls import redacted

_PARAMETERS = frozenset({"sslmode", "ssl", "target_session_attrs", "host", "port"})
_CONNECTIONS = 10
_FOR_A_CONNECTION = timedelta(seconds=3)
_TO_CONNECT = timedelta(seconds=3)
_FAREWELL = timedelta(milliseconds=200)
"""How long a connection may take to end in good order after its answer was given up."""
_PATIENCE = Deadline(timedelta(seconds=6), farewell=_FAREWELL)
"""The longest that a caller waits, for a connection and all answers together."""
_PING = Deadline(timedelta(seconds=2), farewell=_FAREWELL)

SESSION = {
    "statement_timeout": "5s",
    "idle_in_transaction_session_timeout": "10s",  # a process that is frozen holds no locks for longer
    "jit": "off",
    # Every statement walks along indexes. It is planned once in a connection's life, often when the tables are still
    # empty, and reading them whole looks cheap: a plan that must not be kept when they have grown.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
}


class PostgresRunner:
    """A transaction is one crossing of SQLAlchemy's bridge to asyncio, however many statements it makes."""

    def __init__(self, url: URL) -> None:
        self._name = redacted(url)
        self.failures = 0
        self._engine = postgresql_engine(
            url,
            SESSION,
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=_FOR_A_CONNECTION.total_seconds(),
            pool_use_lifo=True,
        )
        self._transactions = self._engine.sync_engine
        self._statements = self._transactions.execution_options(isolation_level="AUTOCOMMIT")
        event.listen(self._transactions, "checkout", _refuse_closed)
        event.listen(self._transactions, "handle_error", _leave_read_only)

    async def start(self) -> None:
        with beginning(self._name):
            misfit = await self.read(rights.misfit)
            await self.ping()
        if misfit is not None:
            raise ConfigurationError(f"the store {self._name} {misfit}")

    async def stop(self) -> None:
        await self._engine.dispose()

    async def ping(self) -> None:
        if await self._run(self._statements, _takes_no_writes, _PING):
            raise StoreUnavailable(f"the store {self._name} takes no writes: {WRITABLE}")

    async def transact(self, act: Callable[[Connection], T]) -> T:
        return await self._run(self._transactions, act, _PATIENCE)

    async def execute(self, act: Callable[[Connection], T]) -> T:
        return await self._run(self._statements, act, _PATIENCE)

    async def read(self, act: Callable[[Connection], T]) -> T:
        return await self._run(self._statements, act, _PATIENCE)

    async def _run(self, engine: Engine, act: Callable[[Connection], T], deadline: Deadline) -> T:
        try:
            with deadline():
                return await greenlet_spawn(persist, engine, act)
        except Exception as error:
            outage = unavailable(error, self._name)
            if outage is None:
                raise
            self.failures += 1
            raise outage from error


def _takes_no_writes(connection: Connection) -> bool:
    """A standby, or a user whose transactions are read-only by default."""
    if connection.scalar(text("SHOW transaction_read_only")) != "on":
        return False
    connection.connection.invalidate(soft=True)  # the pool makes a new one: this may stay so, see `_leave_read_only`
    return True


def _refuse_closed(connection: Any, record: object, proxy: object) -> None:
    """A connection that the server has closed is known to be so without asking: the pool makes a new one."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _leave_read_only(context: ExceptionContext) -> None:
    """A session keeps the `default_transaction_read_only` that it began with, and its server when that is primary no
    more: the pool has to begin anew, or it takes no writes for ever."""
    if context.sqlalchemy_exception is not None and read_only(context.sqlalchemy_exception):
        context.is_disconnect = True


def postgresql_engine(url: URL, session: Mapping[str, str], **pool: Any) -> AsyncEngine:
    """An engine whose connections begin with these settings."""
    unknown = url.query.keys() - _PARAMETERS
    if unknown:
        raise ConfigurationError(
            f"the database URL has an unknown parameter, {min(unknown)}: use {', '.join(sorted(_PARAMETERS))}"
        )
    query = {"ssl" if name == "sslmode" else name: value for name, value in url.query.items()}
    connect = {
        "timeout": _TO_CONNECT.total_seconds(),
        "server_settings": {"application_name": "backhaul", **session},
    }
    return create_async_engine(url.set(query=query), connect_args=connect, **pool)
