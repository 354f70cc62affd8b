"""The SQL functions in which the two databases differ."""

from sqlite3 import Connection as SqliteConnection
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Text, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from backhaul.core.clock import Clock, to_ms

_NAMESPACE = 7_523_094_021
"""Keeps our advisory locks apart from others in the same database."""


class store_now(FunctionElement[int]):  # noqa: N801
    """Milliseconds since the epoch when it is evaluated: by PostgreSQL's own clock, or, on SQLite, by the one that the
    platform was given. Leases are measured by it alone, so that no two processes can disagree on whether one is over.
    """

    inherit_cache = True
    type = BigInteger()


class claim_turn(FunctionElement[None]):  # noqa: N801
    """Waits until no other transaction claims from this queue, and keeps others waiting until this one ends.

    SQLite has only one transaction that writes, so there is nothing to wait for.
    """

    inherit_cache = True

    def __init__(self, queue: ColumnElement[str]) -> None:
        self.queue = queue
        super().__init__(queue)


class stored_size(FunctionElement[int]):  # noqa: N801
    """How large a text is, in bytes (on SQLite in characters), as far as that is known without reading all of it."""

    inherit_cache = True
    type = BigInteger()

    def __init__(self, text: ColumnElement[str]) -> None:
        self.text = text
        super().__init__(text)


class json_member(FunctionElement[str]):  # noqa: N801
    """A member of an object that is kept as text, which is a string without control characters."""

    inherit_cache = True
    type = Text()

    def __init__(self, text: ColumnElement[str], member: str) -> None:
        self.text = text
        self.member: ColumnElement[str] = literal_column(f"'{member}'")
        super().__init__(text, self.member)


@compiles(store_now, "postgresql")
def _clock(element: store_now, compiler: SQLCompiler, **options: Any) -> str:
    return "CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS BIGINT)"


@compiles(claim_turn, "postgresql")
def _advisory_lock(element: claim_turn, compiler: SQLCompiler, **options: Any) -> str:
    return f"pg_advisory_xact_lock(hashtextextended({compiler.process(element.queue, **options)}, {_NAMESPACE}))"


@compiles(stored_size, "postgresql")
def _octets(element: stored_size, compiler: SQLCompiler, **options: Any) -> str:
    return f"octet_length({compiler.process(element.text, **options)})"


@compiles(stored_size, "sqlite")
def _characters(element: stored_size, compiler: SQLCompiler, **options: Any) -> str:
    return f"length({compiler.process(element.text, **options)})"


@compiles(json_member, "postgresql")
def _member(element: json_member, compiler: SQLCompiler, **options: Any) -> str:
    # No text of PostgreSQL's can hold the character 0, so it refuses all of an object in which it is written anywhere.
    text, name = (compiler.process(part, **options) for part in (element.text, element.member))
    return f"CAST(replace({text}, '\\u0000', '\\u0001') AS JSON) ->> {name}"


@compiles(json_member, "sqlite")
def _extracted(element: json_member, compiler: SQLCompiler, **options: Any) -> str:
    text, name = (compiler.process(part, **options) for part in (element.text, element.member))
    return f"json_extract({text}, '$.' || {name})"


@compiles(store_now, "sqlite")
def _given_clock(element: store_now, compiler: SQLCompiler, **options: Any) -> str:
    return "store_now()"


@compiles(claim_turn, "sqlite")
def _no_wait(element: claim_turn, compiler: SQLCompiler, **options: Any) -> str:
    return "NULL"


def install(connection: SqliteConnection, clock: Clock) -> None:
    """Let statements on this SQLite connection read `clock`."""
    connection.create_function("store_now", 0, lambda: to_ms(clock.now()))
