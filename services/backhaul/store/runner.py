"""How a function over a connection becomes one transaction. The functions know nothing of loops, threads and pools."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Engine

from backhaul.store.faults import collided

T = TypeVar("T")

_TRIES = 4


class Runner(Protocol):
    """Runs functions over connections to one database.

    Every method raises `StoreUnavailable` if the database cannot be reached or does not answer in time. A transaction
    that only collided with another one is run again, so a function must do nothing but speak to its connection.
    """

    failures: int
    """How many calls found no database, or no answer in time."""

    async def start(self) -> None:
        """Connect. Raises `ConfigurationError` if the schema is not the one this version needs."""
        ...

    async def stop(self) -> None:
        """Let go of every connection. Safe to call twice, and before `start`."""
        ...

    async def ping(self) -> None:
        """Return if the database answers within two seconds, and takes writes."""
        ...

    async def transact(self, act: Callable[[Connection], T]) -> T:
        """What `act` returns, after all it has done is committed. If it raises, nothing has been done."""
        ...

    async def execute(self, act: Callable[[Connection], T]) -> T:
        """What `act` returns, which makes one statement: that is a transaction by itself, and cheaper."""
        ...

    async def read(self, act: Callable[[Connection], T]) -> T:
        """What `act` returns, which only reads, and does not need one moment for all its statements."""
        ...


def persist(engine: Engine, act: Callable[[Connection], T]) -> T:
    """Run `act` in a transaction, and again in a new one if it collided with another."""
    for _ in range(_TRIES - 1):
        try:
            return _once(engine, act)
        except Exception as error:
            if not collided(error):
                raise
    return _once(engine, act)


def _once(engine: Engine, act: Callable[[Connection], T]) -> T:
    with engine.begin() as connection:
        return act(connection)
