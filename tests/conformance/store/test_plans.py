"""Plans: whatever a request waits for is answered along an index, however many tasks there are."""

import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from sqlite3 import Connection as SqliteConnection
from typing import Any, cast

import asyncpg
import pytest
from sqlalchemy import Engine, create_engine, event

from backhaul.core.clock import SystemClock
from backhaul.core.messages import replies
from backhaul.core.ports.dispatch import Children
from backhaul.core.ports.store import TaskQuery
from backhaul.core.task.commands import Cancel
from backhaul.core.task.record import Caller, RawJson
from backhaul.store import SqlStore
from backhaul.store.functions import install
from backhaul.store.postgresql import SESSION
from backhaul_contracts.ids import new_task_id
from backhaul_contracts.tasks import Status
from tests.conformance.store.conftest import Place
from tests.conformance.store.given import (
    LEASE,
    PAST,
    accepted,
    beat,
    claim,
    claimed,
    draft,
    granted,
    records,
    succeeded,
)

Statement = tuple[str, tuple[Any, ...]]
Request = Callable[[SqlStore], Awaitable[object]]
TASK = new_task_id()
REPLY = replies.noted(None, replies.ReplyTo("mine"))
ENOUGH = 500
BIG = {"tasks", "states", "events", "task_metadata"}


def finds(**conditions: Any) -> Request:
    """A page of 49, and one more that shows whether it is the last."""
    return lambda store: store.find(TaskQuery("default", limit=49, **conditions))


REQUESTS: dict[str, Request] = {
    "get": lambda store: store.snapshot("default", TASK),
    "events": lambda store: store.events(TASK, 3, 100),
    "seqs": lambda store: store.seqs([TASK, new_task_id()]),
    "list": finds(),
    "list on": finds(before=TASK),
    "list by status": finds(statuses=(Status.QUEUED, Status.RUNNING)),
    "list by status and kind": finds(statuses=(Status.QUEUED,), kind="test.k3"),
    "list by kind": finds(kind="test.k3"),
    "list by queue": finds(queue="q3"),
    "list by key": finds(key="key-17"),
    "list by parent": finds(parent_id=TASK),
    "list by metadata": finds(metadata={"colour": "c17"}),
    "list by all": finds(metadata={"colour": "c17"}, statuses=(Status.QUEUED,), kind="test.k3", queue="q3"),
    "list by more": finds(metadata={"colour": "c17", "size": "s7"}, statuses=(Status.QUEUED,), kind="test.k7"),
    "list by creation": finds(created_after=PAST, created_before=PAST + timedelta(days=1)),
    "accept": lambda store: store.accept([draft(), draft(key="key-17"), draft(key="new")]),
    "call": lambda store: store.accept(
        [replace(draft(key="key-0-17", replies=REPLY), caller=Caller(TASK, 1, "token"))]
    ),
    "submit again": lambda store: store.accept([draft(key="key-0-17", replies=REPLY)]),
    "abandon": lambda store: store.abandon([Children(TASK, 1), Children(TASK, 1, only=(TASK,))]),
    "unfinished": lambda store: store.unfinished([TASK]),
    "claim": lambda store: claimed(store, [claim(5, queue="q3", kinds=["test.k3"])]),
    "claim again": lambda store: claimed(store, [claim(queue="q3", repeat=True)]),
    "cancel": lambda store: store.advance([Cancel(TASK)]),
    "beat": lambda store: store.beat([beat()], LEASE),
    "delete": lambda store: store.forget("default", TASK),
    "due": lambda store: store.overdue(10),
    "purge": lambda store: store.purge(10),
    "queues": lambda store: store.queues(),
    "census": lambda store: store.census(),
}

COMBINED = {"list by more", "list by status and kind"}
"""Which of two conditions leaves less to be read only statistics can tell; autovacuum has them within a minute."""


COUNTING = {"queues", "census"}
"""They go through all that wait, within bounds of their own, and once."""


@contextmanager
def noted() -> Iterator[list[Statement]]:
    """The statements that are executed meanwhile."""
    statements: list[Statement] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, ___: Any, ____: bool) -> None:
        if not statement.startswith("BEGIN"):
            statements.append((statement, tuple(parameters)))

    event.listen(Engine, "before_cursor_execute", note)
    yield statements
    event.remove(Engine, "before_cursor_execute", note)


async def fill(store: SqlStore, thousands: int) -> None:
    """Tasks of ten kinds in ten queues, half of them done."""
    for thousand in range(thousands):
        drafts = [
            draft(
                kind=f"test.k{n % 10}",
                queue=f"q{n % 10}",
                key=f"key-{thousand}-{n}" if n % 2 else None,
                parent_id=new_task_id() if n % 5 == 0 else None,
                metadata=RawJson(f'{{"colour":"c{n % 100}","size":"s{n % 10}"}}'),
            )
            for n in range(1_000)
        ]
        await accepted(store, *drafts)
        for n in range(10):
            started = records(await granted(store, claim(50, queue=f"q{n}", kinds=[f"test.k{n}"])))
            await store.advance([succeeded(record) for record in started])


async def reads(url: str, settings: Mapping[str, str], statements: Sequence[Statement]) -> list[tuple[int, str]]:
    """For each statement the most rows that one step of it reads from a table, and its plan. Nothing is changed."""
    connection = await asyncpg.connect(url, server_settings=dict(settings))
    found = []
    for statement, parameters in statements:
        await connection.execute(f"PREPARE asked AS {statement}")
        asked = f"EXECUTE asked({', '.join(map(literal, parameters))})" if parameters else "EXECUTE asked"
        plan = await explained(connection, asked)
        found.append((max(rows_read(json.loads(plan)[0]["Plan"])), plan))
        await connection.execute("DEALLOCATE asked")
    await connection.close()
    return found


async def explained(connection: asyncpg.Connection, statement: str) -> str:
    transaction = connection.transaction()
    await transaction.start()
    try:
        plan = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
    except asyncpg.UniqueViolationError:  # it has inserted these rows before
        await transaction.rollback()
        return str(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement}"))
    await transaction.rollback()
    return str(plan)


def literal(value: str | int) -> str:
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def rows_read(node: dict[str, Any]) -> Iterator[int]:
    if node.get("Relation Name") in BIG:
        assert node["Node Type"] != "Seq Scan", node
        removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        each = node.get("Actual Rows", 0) + removed
        yield each * node.get("Actual Loops", 1)
    yield 0
    for child in node.get("Plans", ()):
        yield from rows_read(child)


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
async def test_postgresql_reads_what_a_request_is_about_and_little_more(place: Place, store: SqlStore) -> None:
    """With the settings of the store before there are statistics and after, and as the planner likes it by itself."""
    await fill(store, thousands=20)
    waiting = 10_000

    for settings, analysed in ((SESSION, False), (SESSION, True), ({}, True)):
        if analysed:
            await analyse(place.url)
        for name, request in REQUESTS.items():
            if name in COMBINED and not (settings and analysed):
                continue
            with noted() as statements:
                await request(store)
            most = waiting + ENOUGH if name in COUNTING else ENOUGH
            for count, plan in await reads(place.url, settings, statements):
                assert count <= most, f"{name} reads {count} rows (analysed: {analysed}, {settings}):\n{plan}"


@pytest.mark.parametrize("name", sorted(COUNTING))
async def test_what_counts_counts_up_to_a_bound(store: SqlStore, name: str) -> None:
    with noted() as statements:
        await REQUESTS[name](store)

    counting = [statement for statement, _ in statements if "count(" in statement]

    assert len(counting) >= 2
    assert all("LIMIT" in statement for statement in counting)


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
async def test_sqlite_answers_every_request_along_indexes(place: Place, store: SqlStore) -> None:
    await fill(store, thousands=1)
    engine = create_engine(place.url)

    for name, request in REQUESTS.items():
        with noted() as statements:
            await request(store)
        with engine.connect() as connection:
            install(cast("SqliteConnection", connection.connection.driver_connection), SystemClock())
            for statement, parameters in statements:
                explained = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                plan = "\n".join(row[-1] for row in explained)
                scanned = re.findall(r"SCAN (\w+)(?! USING)", plan)
                assert not BIG.intersection(scanned), f"{name} reads {scanned} whole:\n{plan}"
    engine.dispose()


async def analyse(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("ANALYZE")
    await connection.close()
