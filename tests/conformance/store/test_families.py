"""Families: an attempt calls for children, joins those it has called for before, and they end with it."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backhaul.core.messages.replies import ReplyTo, noted, read
from backhaul.core.ports.dispatch import Children, Dispatch
from backhaul.core.ports.store import Admission
from backhaul.core.task.commands import Cancel, Rerun
from backhaul.core.task.record import Caller, Draft, Record
from backhaul.store import SqlStore, families
from backhaul.store.families import PORTION
from backhaul_contracts.events import EventType
from backhaul_contracts.ids import new_task_id
from backhaul_contracts.reports import AbandonedReport, Called, ResumedReport, StoppedReport, WaitingReport
from backhaul_contracts.tasks import Status
from tests.conformance.store.given import (
    accepted,
    advanced,
    claim,
    current,
    draft,
    failed,
    granted,
    of,
    records,
    started,
    story,
    succeeded,
)

NOW = timedelta(0)


def called(
    parent: Record, key: str = "call-1", *, waits: bool = True, reply: str | None = None, **fields: Any
) -> Draft:
    """What the intake makes of a call by the current attempt of `parent`."""
    caller = Caller(parent.id, parent.attempt, str(parent.token), waits)
    replies = None if reply is None else noted(None, ReplyTo(reply))
    wanted = draft(parent_id=parent.id, key=key, replies=replies, called_in=parent.attempt, **fields)
    return replace(wanted, caller=caller)


async def call(store: SqlStore, wanted: Draft) -> Admission:
    (admission,), _ = await store.accept([wanted])
    return admission


async def run(store: SqlStore) -> Record:
    """The best task that waits, now running."""
    (record,) = records(await granted(store, claim()))
    return record


async def parent_and_failed_child(store: SqlStore) -> tuple[Record, Record]:
    (parent,) = await started(store)
    await call(store, called(parent))
    child = await advanced(store, failed(await run(store), retryable=False))
    return parent, child


async def next_attempt(store: SqlStore, parent: Record) -> Record:
    await advanced(store, failed(parent, parent.number + 1, retry_after=NOW))
    return await run(store)


async def cancelled_through(store: SqlStore, dispatch: Dispatch) -> int:
    """How many transactions it takes until nothing more is owed to children."""
    count = 0
    while dispatch.children:
        dispatch = await store.abandon(dispatch.children)
        count += 1
    return count


async def test_a_call_within_an_attempt_joins_what_it_called_for_before(store: SqlStore) -> None:
    (parent,) = await started(store)

    first = await call(store, called(parent, reply="mine"))
    again = await call(store, called(parent, reply="mine"))

    assert again.replayed
    assert again.snapshot == first.snapshot


async def test_a_child_that_failed_in_this_attempt_is_not_run_anew_by_it(store: SqlStore) -> None:
    parent, child = await parent_and_failed_child(store)

    again = await call(store, called(parent))

    assert again.snapshot.record == child


async def test_a_child_that_failed_before_this_attempt_is_run_anew_once(store: SqlStore) -> None:
    parent, child = await parent_and_failed_child(store)
    parent = await next_attempt(store, parent)

    anew = await call(store, called(parent))
    await advanced(store, failed(await run(store), retryable=False))
    again = await call(store, called(parent))

    assert (anew.snapshot.record.id, anew.snapshot.record.status) == (child.id, Status.QUEUED)
    assert (again.snapshot.record.status, again.snapshot.record.attempt) == (Status.FAILED, 2)


async def test_a_child_that_is_still_being_cancelled_is_called_for_when_that_is_over(store: SqlStore) -> None:
    (parent,) = await started(store)
    await call(store, called(parent))
    child = await run(store)
    await store.advance([Cancel(child.id)])
    parent = await next_attempt(store, parent)

    too_soon = await call(store, called(parent))
    await advanced(store, StoppedReport(**of(child)))
    again = await call(store, called(parent))

    assert too_soon.stale
    assert (again.stale, again.snapshot.record.id, again.snapshot.record.status) == (False, child.id, Status.QUEUED)


async def test_a_cancel_of_its_child_is_what_a_caller_that_waits_is_told(store: SqlStore) -> None:
    (parent,) = await started(store)
    await call(store, called(parent))
    child = await run(store)
    await store.advance([Cancel(child.id)])

    meanwhile = await call(store, called(parent))
    await advanced(store, StoppedReport(**of(child)))
    after = await call(store, called(parent))

    assert (meanwhile.stale, meanwhile.snapshot.record.status) == (False, Status.CANCELLING)
    assert (after.stale, after.snapshot.record.status) == (False, Status.CANCELLED)


async def test_a_submission_without_waiting_runs_nothing_anew(store: SqlStore) -> None:
    parent, child = await parent_and_failed_child(store)
    parent = await next_attempt(store, parent)

    again = await call(store, called(parent, waits=False))

    assert again.snapshot.record == child


async def test_the_result_of_a_child_that_succeeded_comes_with_its_call(store: SqlStore) -> None:
    (parent,) = await started(store)
    await call(store, called(parent))
    await advanced(store, succeeded(await run(store), result="kept"))
    parent = await next_attempt(store, parent)

    again = await call(store, called(parent, reply="mine"))

    assert (again.snapshot.record.status, again.snapshot.result) == (Status.SUCCEEDED, '"kept"')


async def test_a_child_that_runs_is_joined_and_failing_then_is_its_end(store: SqlStore) -> None:
    (parent,) = await started(store)
    await call(store, called(parent, reply="before"))
    child = await run(store)
    parent = await next_attempt(store, parent)

    joined = await call(store, called(parent, reply="after"))
    await advanced(store, failed(child, retryable=False))
    again = await call(store, called(parent, reply="after"))

    assert joined.snapshot.record.status is Status.RUNNING
    assert [reply.queue for reply in read(joined.snapshot.record.replies)] == ["before", "after"]
    assert again.snapshot.record.status is Status.FAILED


async def test_an_attempt_that_is_over_calls_for_nothing(store: SqlStore) -> None:
    (parent,) = await started(store)
    await next_attempt(store, parent)

    late = await call(store, called(parent))

    assert late.stale
    assert await store.snapshot("default", late.snapshot.record.id) is None


async def test_an_attempt_that_is_asked_to_stop_calls_for_nothing(store: SqlStore) -> None:
    (parent,) = await started(store)
    await advanced(store, Cancel(parent.id))

    assert (await call(store, called(parent))).stale


async def test_a_child_belongs_to_the_tenant_of_its_parent(store: SqlStore) -> None:
    await accepted(store, draft(tenant="theirs"))
    parent = await run(store)

    child = await call(store, called(parent))

    assert child.snapshot.record.tenant == "theirs"


async def test_calls_of_one_batch_are_told_apart(store: SqlStore) -> None:
    (parent,) = await started(store)
    stale = replace(called(parent, "call-2"), caller=Caller(parent.id, parent.attempt, "forged"))

    admissions, _ = await store.accept([called(parent), stale, called(parent, reply="mine"), draft()])

    assert [(admission.replayed, admission.stale) for admission in admissions] == [
        (False, False),
        (False, True),
        (True, False),
        (False, False),
    ]
    assert admissions[0].snapshot.record.id == admissions[2].snapshot.record.id


async def test_a_waiting_task_is_shown_as_such_and_goes_on(store: SqlStore) -> None:
    (parent,) = await started(store)

    waiting = await advanced(
        store, WaitingReport(**of(parent, 1), calls=[Called(task_id="tsk_child", kind="test.child")])
    )
    resumed = await advanced(store, ResumedReport(**of(parent, 2)))

    assert (waiting.status, resumed.status) == (Status.WAITING, Status.RUNNING)
    assert await story(store, parent.id) == ["accepted", "queued", "started", "waiting", "log"]


async def test_who_wants_to_hear_of_the_end_is_told_with_the_dispatch(store: SqlStore) -> None:
    await accepted(store, draft(key="one", replies=noted(None, ReplyTo("theirs", "17"))))
    await call(store, draft(key="one", replies=noted(None, ReplyTo("mine"))))
    child = await run(store)

    _, dispatch = await store.advance([succeeded(child)])

    (end,) = [each for each in dispatch.happenings if each.event.type is EventType.SUCCEEDED]
    assert list(read(end.record.replies)) == [ReplyTo("theirs", "17"), ReplyTo("mine")]


async def test_the_cancel_of_a_parent_owes_the_same_to_its_children_and_to_theirs(store: SqlStore) -> None:
    (parent,) = await started(store)
    (childless,) = await accepted(store, draft())
    (child,) = await accepted(store, draft(parent_id=parent.id))
    (grandchild,) = await accepted(store, draft(parent_id=child.id))

    _, dispatch = await store.advance([Cancel(parent.id), Cancel(childless.id)])
    count = await cancelled_through(store, dispatch)

    assert dispatch.children == (Children(parent.id, attempt=1),)
    assert count == 2
    assert (await current(store, grandchild.id)).record.status is Status.CANCELLED


async def test_a_family_of_any_size_is_cancelled_in_portions(store: SqlStore) -> None:
    (parent,) = await started(store)
    children = await accepted(store, *(draft(parent_id=parent.id) for _ in range(PORTION + 1)))
    running = await run(store)
    _, dispatch = await store.advance([Cancel(parent.id)])

    count = await cancelled_through(store, dispatch)

    ended = [snapshot.record for snapshot in await store.snapshots([child.id for child in children])]
    assert count == 2
    assert {record.status for record in ended if record.id != running.id} == {Status.CANCELLED}
    assert (await current(store, running.id)).record.status is Status.CANCELLING
    assert ended[-1].cancel_reason == f"Its parent {parent.id} was cancelled."


async def test_however_wide_a_family_spreads_no_transaction_cancels_more_than_a_portion(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(families, "PORTION", 3)
    (parent,) = await accepted(store, draft())
    children = await accepted(store, *(draft(parent_id=parent.id) for _ in range(4)))
    grandchildren = await accepted(store, *(draft(parent_id=child.id) for child in children for _ in range(4)))
    _, dispatch = await store.advance([Cancel(parent.id)])

    portions = []
    while dispatch.children:
        dispatch = await store.abandon(dispatch.children)
        portions.append(len({happening.record.id for happening in dispatch.happenings}))

    assert max(portions) == 3
    assert sum(portions) == len(children) + len(grandchildren)


async def test_many_calls_that_are_given_up_at_once_are_cancelled_in_portions_too(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(families, "PORTION", 3)
    (parent,) = await started(store)
    children = await accepted(store, *(draft(parent_id=parent.id) for _ in range(7)))
    calls: list[str] = [child.id for child in children]

    _, dispatch = await store.advance([AbandonedReport(**of(parent), calls=calls)])

    assert await cancelled_through(store, dispatch) == 3
    assert {snapshot.record.status for snapshot in await store.snapshots([c.id for c in children])} == {
        Status.CANCELLED
    }


async def test_a_cancel_that_is_carried_out_late_spares_what_a_new_run_has_called_for(store: SqlStore) -> None:
    (parent,) = await started(store)
    wanted = (await call(store, called(parent, "call-1", priority=-1))).snapshot.record
    unwanted = (await call(store, called(parent, "call-2", priority=-1))).snapshot.record
    _, dispatch = await store.advance([Cancel(parent.id), StoppedReport(**of(parent)), Rerun(parent.id)])
    again = await run(store)
    await call(store, called(again, "call-1"))

    await cancelled_through(store, dispatch)

    assert again.id == parent.id
    assert (await current(store, wanted.id)).record.status is Status.QUEUED
    assert (await current(store, unwanted.id)).record.status is Status.CANCELLED


async def test_a_late_cancel_and_a_new_call_for_the_child_meet_in_order(store: SqlStore, other: SqlStore) -> None:
    """Whoever is first: a child that was called for anew is spared, one that was cancelled is run anew."""
    for n in range(10):
        (parent,) = await started(store)
        child = (await call(store, called(parent, f"call-{n}", priority=-1))).snapshot.record
        _, dispatch = await store.advance([Cancel(parent.id), StoppedReport(**of(parent)), Rerun(parent.id)])
        again = await run(store)

        await asyncio.gather(store.abandon(dispatch.children), call(other, called(again, f"call-{n}")))

        assert (await current(store, child.id)).record.status is Status.QUEUED
        await store.advance([succeeded(again), Cancel(child.id)])


async def test_what_is_owed_to_children_outlives_a_crash(store: SqlStore) -> None:
    (parent,) = await started(store)
    (child,) = await accepted(store, draft(parent_id=parent.id))
    await store.advance([Cancel(parent.id)])

    owed = [dispatch for dispatch in await store.owed(NOW, 100) if dispatch.children]
    await cancelled_through(store, owed[0])

    assert (await current(store, child.id)).record.status is Status.CANCELLED


async def test_only_its_own_children_can_be_abandoned(store: SqlStore) -> None:
    (parent,) = await started(store)
    child, stranger = await accepted(store, draft(parent_id=parent.id), draft())

    _, dispatch = await store.advance([AbandonedReport(**of(parent), calls=[child.id, stranger.id])])
    await cancelled_through(store, dispatch)

    assert (await current(store, child.id)).record.status is Status.CANCELLED
    assert (await current(store, stranger.id)).record.status is Status.QUEUED


async def test_a_child_is_either_found_by_the_cancel_of_its_parent_or_refused(store: SqlStore, other: SqlStore) -> None:
    (parent,) = await started(store)

    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(call(other, called(parent, f"call-{n}"))) for n in range(10)]
        cancel = group.create_task(store.advance([Cancel(parent.id)]))
    await cancelled_through(store, cancel.result()[1])

    made = [each.result().snapshot.record.id for each in calls if not each.result().stale]
    assert {snapshot.record.status for snapshot in await store.snapshots(made)} <= {Status.CANCELLED}


async def test_calls_are_done_when_their_tasks_are_or_are_gone(store: SqlStore) -> None:
    running, done = await started(store, 2)
    await advanced(store, succeeded(done))

    assert await store.unfinished([running.id, done.id, new_task_id()]) == {running.id}
