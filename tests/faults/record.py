"""The record at the end: every task, its whole log, and what is left on the broker and in the store."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from backhaul.core.messages import topology
from backhaul_contracts.events import EventType
from backhaul_contracts.tasks import HELD, TERMINAL, Status
from tests.faults.site import digest
from tests.proof.observations import LOST, FinalTask, LoggedEvent, Remains
from tests.support.rabbitmq import PrivateRabbitMQ

_TASKS = """
    SELECT t.id, t.kind, t.queue, t.tenant, t.key, t.max_attempts, coalesce(t.parent_id, t.replay_of) AS origin,
           s.status, s.attempt, s.failures, s.seq, s.result, s.worker_id
    FROM tasks t JOIN states s ON s.task_id = t.id ORDER BY t.id"""
_EVENTS = "SELECT task_id, seq, attempt, type, time, data FROM events ORDER BY task_id, seq"
_UNDONE = """
    SELECT (SELECT count(*) FROM states WHERE status <> ALL($1)) +
           (SELECT count(*) FROM deliveries WHERE state = 'pending')"""
_OWNED = tuple(f"{exchange}." for exchange in (topology.LIVE, topology.REPLIES, topology.CONTROL))
"""Queues of one process: they go with it, and what a dead one did not read is nobody's."""
_PLATFORM = "backhaul."


class Record:
    """Reads the database itself, not through any code under test."""

    def __init__(self, connection: asyncpg.Connection, broker: PrivateRabbitMQ) -> None:
        self._connection = connection
        self._broker = broker

    async def undone(self) -> int:
        """How many tasks have not ended, and webhooks not arrived."""
        return int(await self._connection.fetchval(_UNDONE, _words(TERMINAL)))

    async def remains(self) -> Remains:
        held = await self._connection.fetchval("SELECT count(*) FROM states WHERE status = ANY($1)", _words(HELD))
        queues = await self._broker.queues(self._broker.url)
        return Remains(
            outbox=await self._connection.fetchval("SELECT count(*) FROM outbox"),
            leases=held,
            queues={
                name: sum(depth)
                for name, depth in queues.items()
                if name.startswith(_PLATFORM) and not name.startswith(_OWNED)
            },
        )

    async def tasks(self) -> list[FinalTask]:
        return [_task(row) for row in await self._connection.fetch(_TASKS)]

    async def log(self) -> list[LoggedEvent]:
        return [_event(row) for row in await self._connection.fetch(_EVENTS)]


def _task(row: Any) -> FinalTask:
    status = Status(row["status"])
    return FinalTask(
        task_id=row["id"],
        kind=row["kind"],
        queue=row["queue"],
        status=status,
        attempt=row["attempt"],
        seq=row["seq"],
        tenant=row["tenant"],
        key=row["key"],
        failures=row["failures"],
        max_attempts=row["max_attempts"],
        result_hash=digest(json.loads(row["result"])) if status is Status.SUCCEEDED else None,
        held_by=row["worker_id"],
        origin=row["origin"],
    )


def _event(row: Any) -> LoggedEvent:
    data = json.loads(row["data"])
    due = data.get("retry_at") or data.get("scheduled_for")
    said = list(_said(row["type"], data))
    return LoggedEvent(
        task_id=row["task_id"],
        seq=row["seq"],
        attempt=row["attempt"],
        type=row["type"],
        at=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=row["time"]),
        worker=data.get("worker_id"),
        due=datetime.fromisoformat(due) if due else None,
        digest=digest(data),
        numbers=tuple(number for _, number in said),
        said_by=_said_by(row["type"], data, [attempt for attempt, _ in said]),
        lost=(data.get("error") or {}).get("code") in LOST,
    )


def _said(type: str, data: Any) -> Iterator[tuple[int, int]]:
    """What handlers here count, with the attempt that they name: `attempt.number` on each line of their output."""
    if type == EventType.OUTPUT:
        for line in data["delta"].split():
            attempt, number = line.split(".")
            yield int(attempt), int(number)


def _said_by(type: str, data: Any, named: list[int]) -> int | None:
    """The attempt that the handler names: the lowest, if lines of several stand together, for it is the stranger."""
    if type == EventType.SUCCEEDED:
        return int(data["result"]["attempt"])
    return min(named, default=None)


def _words(statuses: frozenset[Status]) -> list[str]:
    return [str(status) for status in statuses]
