"""Races for a task, on every store: a cancel or a deadline with a claim, and attempts with what comes after them."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from backhaul.core.clock import from_ms, system_ms
from backhaul.core.task.commands import Cancel, Command, Expire, GiveUp, Lose, Rerun, TakeBack
from backhaul.core.task.record import Record
from backhaul.core.task.transitions import Change
from backhaul.store import SqlStore
from backhaul_contracts.reports import CheckpointReport, HandedBackReport, Ruling, StoppedReport
from backhaul_contracts.tasks import Status
from tests.conformance.store.given import (
    FUTURE,
    PAST,
    accepted,
    advanced,
    claim,
    current,
    draft,
    failed,
    granted,
    ids,
    of,
    records,
    refused,
    started,
    story,
    succeeded,
)

TASKS = 20


async def test_a_task_is_cancelled_or_claimed_first_and_then_asked_to_stop(store: SqlStore, other: SqlStore) -> None:
    """Whoever is first: what was cancelled at once is never granted, and what was granted is asked to stop."""
    tasks = await accepted(store, *(draft() for _ in range(TASKS)))
    await granted(other, claim())  # the worker is known, and one task is its already

    answer, (verdicts, _) = await asyncio.gather(
        granted(store, claim(TASKS)), other.advance([Cancel(record.id) for record in reversed(tasks)])
    )

    run = {*ids(records(answer)), tasks[0].id}
    assert all(isinstance(verdict, Change) for verdict in verdicts)
    for task in tasks:
        kept = (await current(store, task.id)).record
        assert kept.status is (Status.CANCELLING if task.id in run else Status.CANCELLED)
        assert ("started" in await story(store, task.id)) == (task.id in run)
    assert records(await granted(store, claim(TASKS))) == []


async def test_a_task_expires_or_is_claimed_never_both(store: SqlStore, other: SqlStore) -> None:
    soon = from_ms(system_ms() + 60)
    tasks = await accepted(store, *(draft(expires_at=soon) for _ in range(TASKS)))

    async def claim_all() -> set[str]:
        return {record.id for _ in range(TASKS) for record in records(await granted(store, claim()))}

    async def expire_all() -> None:
        while (await current(other, tasks[-1].id)).record.status is Status.QUEUED:
            await other.advance([Expire(record.id) for record in tasks])

    run, _ = await asyncio.gather(claim_all(), expire_all())

    await store.advance([Expire(record.id) for record in tasks if record.id not in run])
    for task in tasks:
        told = await story(store, task.id)
        assert ("started" in told) == (task.id in run)
        assert told.count("started") + told.count("expired") <= 1


async def test_a_task_whose_deadline_has_passed_does_not_keep_others_from_being_claimed(store: SqlStore) -> None:
    late, fresh = await accepted(store, draft(expires_at=PAST), draft())

    assert ids(records(await granted(store, claim()))) == [fresh.id]
    assert (await current(store, late.id)).record.status is Status.QUEUED


async def test_a_cancel_may_be_hurried_and_the_clock_then_asks_sooner(store: SqlStore) -> None:
    (record,) = await started(store)
    asked = await advanced(store, Cancel(record.id, grace=timedelta(hours=1)))
    before = await store.overdue(10)

    hurried = await advanced(store, Cancel(record.id, grace=timedelta(0)))

    assert (before, await store.overdue(10)) == ([], [GiveUp(record.id)])
    assert (hurried.seq, hurried.cancel_requested_at) == (asked.seq, asked.cancel_requested_at)


async def test_a_new_run_after_an_unconfirmed_cancel_waits_and_gets_no_token(store: SqlStore) -> None:
    (record,) = await started(store)
    await store.advance([Cancel(record.id, grace=timedelta(0)), GiveUp(record.id)])

    (verdict,), dispatch = await store.advance([Rerun(record.id)])

    assert isinstance(verdict, Change)
    assert verdict.record.status is Status.SCHEDULED
    assert dispatch.tokens == ()
    assert records(await granted(store, claim())) == []


async def test_a_task_cancelled_before_its_time_keeps_that_time_in_a_new_run(store: SqlStore) -> None:
    (record,) = await accepted(store, draft(scheduled_for=FUTURE))
    await advanced(store, Cancel(record.id))

    again = await advanced(store, Rerun(record.id))

    assert (again.status, again.not_before, again.scheduled_for) == (Status.SCHEDULED, FUTURE, FUTURE)


ENDS: dict[str, Callable[[Record], Command]] = {
    "handed back": lambda record: HandedBackReport(**of(record, 3)),
    "retried": lambda record: failed(record, 3, retry_after=timedelta(0)),
    "taken back": lambda record: TakeBack(record.id, record.attempt),
    "crashed": lambda record: Lose(record.id, record.attempt),
}


@pytest.mark.parametrize("end", ENDS)
async def test_the_next_attempt_finds_the_last_checkpoint_that_was_recorded(store: SqlStore, end: str) -> None:
    (record,) = await started(store)
    saves = [CheckpointReport(**of(record, number), checkpoint={"page": number}) for number in (1, 2)]
    await store.advance(list(saves))
    if end == "crashed":
        await store.end_leases()

    await advanced(store, ENDS[end](record))
    (again,) = (await granted(store, claim(worker="wrk_2"))).snapshots

    assert (again.record.attempt, again.checkpoint) == (2, '{"page":2}')


@pytest.mark.parametrize("end", ENDS)
async def test_a_checkpoint_of_an_attempt_that_is_over_changes_nothing(store: SqlStore, end: str) -> None:
    """I5."""
    (record,) = await started(store)
    await store.advance([CheckpointReport(**of(record, number), checkpoint=number) for number in (1, 2)])
    if end == "crashed":
        await store.end_leases()
    await advanced(store, ENDS[end](record))
    between = await refused(store, CheckpointReport(**of(record, 4), checkpoint="late"))
    await granted(store, claim(worker="wrk_2"))

    refusal = await refused(store, CheckpointReport(**of(record, 3), checkpoint="late"))

    assert (between.ruling, refusal.ruling) == (Ruling.STALE, Ruling.STALE)
    assert (await current(store, record.id)).checkpoint == "2"


async def test_a_new_run_goes_on_from_the_last_checkpoint(store: SqlStore) -> None:
    (record,) = await started(store)
    await store.advance([CheckpointReport(**of(record, 1), checkpoint=1), failed(record, 2, retryable=False)])

    await advanced(store, Rerun(record.id))
    (again,) = (await granted(store, claim())).snapshots

    assert (again.record.attempt, again.record.failures, again.checkpoint) == (2, 0, "1")


@pytest.mark.parametrize(
    "races",
    [
        lambda record: (Cancel(record.id), HandedBackReport(**of(record))),
        lambda record: (Cancel(record.id), failed(record)),
        lambda record: (Cancel(record.id), TakeBack(record.id, record.attempt)),
        lambda record: (Cancel(record.id), StoppedReport(**of(record))),
        lambda record: (Cancel(record.id), succeeded(record)),
    ],
    ids=["hand-back", "failure", "take-back", "stop", "result"],
)
async def test_whatever_meets_a_cancel_in_either_order_ends_the_task_once(
    store: SqlStore, other: SqlStore, races: Callable[[Record], tuple[Any, Any]]
) -> None:
    running = await started(store, TASKS)
    cancels, others = zip(*map(races, running), strict=True)

    await asyncio.gather(store.advance(list(cancels)), other.advance(list(reversed(others))))

    for record in running:
        kept = (await current(store, record.id)).record
        told = await story(store, record.id)
        assert sum(name in ("succeeded", "failed", "cancelled") for name in told) == 1
        assert (kept.status, kept.cancel_outcome) in (
            (Status.CANCELLED, "confirmed"),
            (Status.SUCCEEDED, None),
        )
    assert records(await granted(store, claim(TASKS))) == []
