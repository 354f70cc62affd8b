"""What tests give to a store: drafts, claims, reports and beats, each with only what matters to the test spelt out."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import select

from backhaul.core.clock import from_ms, system_ms
from backhaul.core.ports.dispatch import Dispatch
from backhaul.core.ports.store import Granted, Store
from backhaul.core.task.record import Draft, Event, RawJson, Record, Snapshot
from backhaul.core.task.transitions import Change, Refusal
from backhaul.store import SqlStore
from backhaul.store.functions import store_now
from backhaul.store.schema import workers
from backhaul_contracts.beats import Beat, Held
from backhaul_contracts.claims import Capacity, Claim
from backhaul_contracts.failures import Failure
from backhaul_contracts.ids import TaskId, new_id, new_task_id
from backhaul_contracts.kinds import Announcement, KindSpec, RetryRule
from backhaul_contracts.reports import FailedReport, SucceededReport
from backhaul_contracts.tasks import Status

LEASE = timedelta(seconds=20)
NO_LEASE = timedelta(0)
"""A lease that is over as soon as it is given, and with it every other."""
WORKER = "wrk_1"
KIND = "test.echo"
QUEUE = "test"
PAST = datetime(2020, 1, 1, tzinfo=UTC)
FUTURE = datetime(2100, 1, 1, tzinfo=UTC)

_BEGIN = system_ms()
_age = count()
"""Each draft is a millisecond younger than the one before, so that their order by age is certain."""


def draft(*, input: str = '{"n":1}', fingerprint: str | None = None, **fields: Any) -> Draft:
    """A task that may be accepted: queued, or scheduled if `scheduled_for` is given."""
    scheduled_for = fields.get("scheduled_for")
    now = _BEGIN + next(_age)
    values: dict[str, Any] = {
        "id": new_task_id(now),
        "tenant": "default",
        "kind": KIND,
        "version": "1",
        "queue": QUEUE,
        "status": Status.QUEUED if scheduled_for is None else Status.SCHEDULED,
        "not_before": scheduled_for,
        "timeout": timedelta(minutes=10),
        "grace": timedelta(seconds=10),
        "max_attempts": 3,
        "retry_base": timedelta(seconds=1),
        "retry_cap": timedelta(minutes=5),
        "created_at": from_ms(now),
    }
    record = Record(**{**values, **fields})
    return Draft(record, RawJson(input), fingerprint if record.key is None else fingerprint or "same")


def claim(limit: int = 1, *, worker: str = WORKER, kinds: Sequence[str] = (KIND,), **fields: Any) -> Claim:
    """A claim with room for `limit` tasks of each kind."""
    values: dict[str, Any] = {
        "claim_id": new_id("clm"),
        "worker_id": worker,
        "queue": QUEUE,
        "limit": limit,
        "capacities": [Capacity(kind=kind, version="1", count=limit) for kind in kinds],
    }
    return Claim(**{**values, **fields})


def beat(*held: Record, number: int = 1, worker: str = WORKER, **fields: Any) -> Beat:
    """A beat of a worker that holds these attempts."""
    listed = [Held(task_id=record.id, attempt=record.attempt, token=str(record.token)) for record in held]
    values: dict[str, Any] = {
        "worker_id": worker,
        "number": number,
        "service": "test",
        "version": "1.0.0",
        "slots": 10,
        "running": len(held),
        "held": listed,
    }
    return Beat(**{**values, **fields})


def announcement(kind: str = KIND) -> Announcement:
    return Announcement(kinds=[spec(kind)])


def spec(kind: str = KIND, version: str = "1", **fields: Any) -> KindSpec:
    values: dict[str, Any] = {
        "kind": kind,
        "version": version,
        "service": "test",
        "service_version": "1.0.0",
        "queue": QUEUE,
        "timeout": timedelta(minutes=10),
        "grace": timedelta(seconds=10),
        "retry": RetryRule(base=timedelta(seconds=1), cap=timedelta(minutes=5)),
        "input_schema": {"type": "object"},
        "result_schema": {},
    }
    return KindSpec(**{**values, **fields})


def of(record: Record, number: int = 1) -> dict[str, Any]:
    """What each report of an attempt carries."""
    return {"task_id": record.id, "attempt": record.attempt, "token": str(record.token), "number": number}


def succeeded(record: Record, number: int = 1, result: Any = "done") -> SucceededReport:
    return SucceededReport(**of(record, number), result=result)


def failed(record: Record, number: int = 1, *, retryable: bool = True, **fields: Any) -> FailedReport:
    failure = Failure(code="handler_error", title="It broke", retryable=retryable)
    return FailedReport(**of(record, number), failure=failure, **fields)


async def accepted(store: Store, *drafts: Draft) -> list[Record]:
    """The records of these drafts, now tasks."""
    admissions, _ = await store.accept(drafts)
    return [admission.snapshot.record for admission in admissions]


async def started(store: Store, count: int = 1, *, lease: timedelta = LEASE, **fields: Any) -> list[Record]:
    """`count` tasks that a worker has begun."""
    await store.accept([draft() for _ in range(count)])
    return records(await granted(store, claim(count, **fields), lease=lease))


async def granted(store: Store, claim: Claim, *, lease: timedelta = LEASE) -> Granted:
    (answer,), _ = await claimed(store, [claim], lease)
    if lease == NO_LEASE:
        await store.end_leases()
    return answer


async def claimed(store: Store, claims: Sequence[Claim], lease: timedelta = LEASE) -> tuple[list[Granted], Dispatch]:
    """The answers to claims of workers that are alive."""
    await store.beat([beat(worker=worker) for worker in {claim.worker_id for claim in claims}], LEASE)
    answers, dispatch = await store.claim(claims, lease)
    return [answer for answer in answers if answer is not None], dispatch


def records(answer: Granted) -> list[Record]:
    return [snapshot.record for snapshot in answer.snapshots]


def ids(found: Sequence[Record | Snapshot]) -> list[TaskId]:
    return [one.id if isinstance(one, Record) else one.record.id for one in found]


async def lease_left(store: SqlStore, worker: str = WORKER) -> timedelta:
    """For how long the lease of a worker still runs, by the store's clock."""
    left = select(workers.c.lease_until - store_now()).where(workers.c.id == worker)
    return timedelta(milliseconds=await store._runner.read(lambda connection: connection.execute(left).scalar_one()))


async def advanced(store: Store, command: Any) -> Record:
    """The record after a command that must be granted."""
    (verdict,), _ = await store.advance([command])
    assert isinstance(verdict, Change), verdict
    return verdict.record


async def refused(store: Store, command: Any) -> Refusal:
    """The refusal of a command that must not be granted."""
    (verdict,), _ = await store.advance([command])
    assert isinstance(verdict, Refusal), verdict
    return verdict


async def current(store: Store, task_id: TaskId) -> Snapshot:
    """The task as the store has it now."""
    snapshot = await store.snapshot("default", task_id)
    assert snapshot is not None
    return snapshot


async def log(store: Store, task_id: TaskId) -> list[Event]:
    """All of a task's events."""
    return await store.events(task_id, 0, 1_000)


async def story(store: Store, task_id: TaskId) -> list[str]:
    """What happened to a task, in order, by the short names of its events."""
    return [event.type.removeprefix("task.") for event in await log(store, task_id)]
