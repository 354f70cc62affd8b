"""Timekeeping: what time asks for, oldest first, and only once it has come."""

from datetime import timedelta

from backhaul.core.task.commands import Cancel, Expire, GiveUp, Release
from backhaul.store import SqlStore
from tests.conformance.store.given import FUTURE, PAST, accepted, advanced, draft, failed, started


async def test_all_that_is_due_is_named_oldest_first(store: SqlStore) -> None:
    scheduled, late, older = await accepted(
        store,
        draft(scheduled_for=PAST + timedelta(minutes=2)),
        draft(expires_at=PAST + timedelta(minutes=1)),
        draft(scheduled_for=PAST),
    )

    commands = await store.overdue(10)

    assert commands == [Release(older.id), Expire(late.id), Release(scheduled.id)]


async def test_a_cancel_whose_grace_is_over_is_given_up(store: SqlStore) -> None:
    (record,) = await started(store)
    await advanced(store, Cancel(record.id, grace=timedelta(0)))

    assert await store.overdue(10) == [GiveUp(record.id)]


async def test_what_is_not_due_is_not_named(store: SqlStore) -> None:
    _, retrying, cancelling = await started(store, 3)
    await advanced(store, failed(retrying, retry_after=timedelta(hours=1)))
    await advanced(store, Cancel(cancelling.id))
    await accepted(store, draft(scheduled_for=FUTURE), draft(expires_at=FUTURE), draft())

    assert await store.overdue(10) == []


async def test_what_has_been_done_is_named_no_longer(store: SqlStore) -> None:
    await accepted(store, draft(scheduled_for=PAST), draft(expires_at=PAST))
    commands = await store.overdue(10)

    await store.advance(commands)

    assert len(commands) == 2
    assert await store.overdue(10) == []


async def test_no_more_is_named_than_asked_for(store: SqlStore) -> None:
    moments = [PAST + timedelta(minutes=n) for n in range(4)]
    tasks = await accepted(
        store, *(draft(scheduled_for=moments[n]) for n in (2, 0)), *(draft(expires_at=moments[n]) for n in (3, 1))
    )

    commands = await store.overdue(3)

    assert commands == [Release(tasks[1].id), Expire(tasks[3].id), Release(tasks[0].id)]
