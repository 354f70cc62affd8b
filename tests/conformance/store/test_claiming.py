"""Claiming: the best claimable tasks, each granted once."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from backhaul.core.task.commands import Cancel, TakeBack
from backhaul.store import SqlStore
from backhaul_contracts.claims import Capacity, Verdict
from backhaul_contracts.ids import new_id
from backhaul_contracts.reports import CheckpointReport
from backhaul_contracts.tasks import Status
from tests.conformance.store.given import (
    FUTURE,
    NO_LEASE,
    PAST,
    WORKER,
    accepted,
    advanced,
    claim,
    claimed,
    current,
    draft,
    failed,
    granted,
    ids,
    log,
    of,
    records,
    started,
    story,
    succeeded,
)


async def test_a_claim_starts_an_attempt(store: SqlStore) -> None:
    wanted = draft(input='{"n":42}')
    await store.accept([wanted])
    asked = claim(beat=7)

    (answer,), dispatch = await claimed(store, [asked])

    (snapshot,) = answer.snapshots
    record = snapshot.record
    assert (answer.claim_id, answer.verdict) == (asked.claim_id, Verdict.GRANTED)
    assert (record.status, record.attempt, record.number) == (Status.RUNNING, 1, 0)
    assert (record.worker_id, record.claim_id, record.claim_beat) == (WORKER, asked.claim_id, 7)
    assert record.token is not None
    assert record.started_at is not None
    assert snapshot.input == '{"n":42}'
    assert snapshot == await current(store, record.id)
    assert [happening.event for happening in dispatch.happenings] == (await log(store, record.id))[2:]
    assert await story(store, record.id) == ["accepted", "queued", "started"]


async def test_the_highest_priority_is_granted_first_and_then_the_oldest(store: SqlStore) -> None:
    tasks = await accepted(store, *(draft(priority=priority) for priority in (0, 5, 0, -1, 5)))

    answer = await granted(store, claim(4))

    assert ids(answer.snapshots) == [tasks[n].id for n in (1, 4, 0, 2)]


async def test_kinds_are_merged_by_priority_and_age(store: SqlStore) -> None:
    kinds = ("test.a", "test.b", "test.c")
    order = [(0, "test.a"), (1, "test.b"), (0, "test.c"), (1, "test.a"), (0, "test.b")]
    tasks = await accepted(store, *(draft(priority=priority, kind=kind) for priority, kind in order))

    answer = await granted(store, claim(4, kinds=kinds))

    assert ids(answer.snapshots) == [tasks[n].id for n in (1, 3, 0, 2)]


async def test_no_more_of_a_kind_is_granted_than_there_is_capacity_for(store: SqlStore) -> None:
    tasks = await accepted(store, *(draft(kind=kind) for kind in ["test.a"] * 3 + ["test.b"] * 3))
    capacities = [Capacity(kind="test.a", version="1", count=1), Capacity(kind="test.b", version="1", count=2)]

    answer = await granted(store, claim(5, capacities=capacities))

    assert ids(answer.snapshots) == [tasks[n].id for n in (0, 3, 4)]


async def test_a_worker_gets_only_versions_that_it_speaks(store: SqlStore) -> None:
    _, second = await accepted(store, draft(version="1"), draft(version="2"))

    answer = await granted(store, claim(5, capacities=[Capacity(kind="test.echo", version="2", count=5)]))

    assert ids(answer.snapshots) == [second.id]


async def test_a_queue_gives_only_its_own_tasks(store: SqlStore) -> None:
    await accepted(store, draft(queue="other"))

    answer = await granted(store, claim(5))

    assert answer.verdict is Verdict.EMPTY
    assert answer.snapshots == ()


async def test_claims_are_served_in_the_order_of_their_arrival(store: SqlStore) -> None:
    tasks = await accepted(store, *(draft() for _ in range(5)))

    answers, _ = await claimed(store, [claim(2), claim(2, worker="wrk_2"), claim(2, worker="wrk_3")])

    assert [ids(answer.snapshots) for answer in answers] == [
        [tasks[0].id, tasks[1].id],
        [tasks[2].id, tasks[3].id],
        [tasks[4].id],
    ]


async def test_what_one_claim_cannot_take_is_left_to_the_next(store: SqlStore) -> None:
    first, second = await accepted(store, draft(kind="test.a", priority=9), draft(kind="test.b"))

    answers, _ = await claimed(store, [claim(2, kinds=["test.b"]), claim(2, kinds=["test.a"], worker="wrk_2")])

    assert [ids(answer.snapshots) for answer in answers] == [[second.id], [first.id]]


async def test_a_grant_is_no_larger_than_a_message_and_what_is_left_gets_new_tokens(store: SqlStore) -> None:
    first, second, huge = await accepted(store, *(draft(input=f'"{"x" * mib * 2**20}"') for mib in (1, 2, 5)))
    asked = claim(3)

    (answer,), dispatch = await claimed(store, [asked])

    assert ids(records(answer)) == ids([first, second])
    assert [token.task_id for token in dispatch.tokens] == [huge.id]
    assert ids(records(await granted(store, asked.model_copy(update={"repeat": True})))) == ids([first, second])
    assert ids(records(await granted(store, claim(3)))) == [huge.id]


async def test_a_task_past_its_deadline_is_passed_over(store: SqlStore) -> None:
    _, fresh, patient = await accepted(store, draft(expires_at=PAST), draft(), draft(expires_at=FUTURE))

    answer = await granted(store, claim(2))

    assert ids(answer.snapshots) == [fresh.id, patient.id]


async def test_a_started_task_has_no_deadline_any_more(store: SqlStore) -> None:
    (record,) = await accepted(store, draft(expires_at=FUTURE))
    (attempt,) = records(await granted(store, claim()))
    await advanced(store, TakeBack(record.id, 1))

    again = await granted(store, claim())

    assert [one.attempt for one in records(again)] == [attempt.attempt + 1]


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.RUNNING, Status.CANCELLED, Status.RETRYING])
async def test_only_queued_tasks_are_claimable(store: SqlStore, status: Status) -> None:
    if status is Status.SCHEDULED:
        await accepted(store, draft(scheduled_for=FUTURE))
    elif status is Status.CANCELLED:
        (record,) = await accepted(store, draft())
        await advanced(store, Cancel(record.id))
    else:
        (record,) = await started(store)
    if status is Status.RETRYING:
        await advanced(store, failed(record, retry_after=timedelta(hours=1)))

    answer = await granted(store, claim(5))

    assert answer.verdict is Verdict.EMPTY


async def test_a_paused_queue_grants_nothing_until_it_is_resumed(store: SqlStore) -> None:
    (record,) = await accepted(store, draft())
    await store.set_paused("test", True)

    paused = await granted(store, claim())
    await store.set_paused("test", False)
    resumed = await granted(store, claim())

    assert (paused.verdict, paused.snapshots) == (Verdict.PAUSED, ())
    assert ids(resumed.snapshots) == [record.id]


async def test_pausing_one_queue_leaves_the_others(store: SqlStore) -> None:
    (record,) = await accepted(store, draft(queue="other"))
    await store.set_paused("test", True)

    answers, _ = await claimed(store, [claim(), claim(queue="other")])

    assert [answer.verdict for answer in answers] == [Verdict.PAUSED, Verdict.GRANTED]
    assert ids(answers[1].snapshots) == [record.id]


async def test_a_repeated_claim_returns_the_same_grants(store: SqlStore) -> None:
    await accepted(store, *(draft(priority=n) for n in (0, 1, 0)))
    asked = claim(2)
    first = await granted(store, asked)

    again = await granted(store, asked.model_copy(update={"repeat": True}))

    assert again == first


async def test_a_repeated_claim_returns_what_is_still_its_own(store: SqlStore) -> None:
    await accepted(store, draft(), draft(), draft())
    asked = claim(3)
    ended, cancelled, running = records(await granted(store, asked))
    await advanced(store, succeeded(ended))
    await advanced(store, Cancel(cancelled.id))

    again = await granted(store, asked.model_copy(update={"repeat": True}))

    assert ids(again.snapshots) == [cancelled.id, running.id]


async def test_a_repeated_claim_that_was_never_heard_is_served_as_new(store: SqlStore) -> None:
    (record,) = await accepted(store, draft())

    answer = await granted(store, claim(repeat=True))

    assert ids(answer.snapshots) == [record.id]


async def test_a_repeated_claim_is_answered_though_the_queue_is_paused(store: SqlStore) -> None:
    await accepted(store, draft())
    asked = claim()
    first = await granted(store, asked)
    await store.set_paused("test", True)

    again = await granted(store, asked.model_copy(update={"repeat": True}))

    assert again == first


async def test_nobody_repeats_the_claim_of_another_worker(store: SqlStore) -> None:
    await accepted(store, draft())
    asked = claim()
    await granted(store, asked)

    stolen = await granted(store, asked.model_copy(update={"repeat": True, "worker_id": "wrk_thief"}))

    assert stolen.snapshots == ()


async def test_a_claim_that_is_read_twice_at_once_is_served_once(store: SqlStore) -> None:
    await accepted(store, draft(), draft())
    asked = claim()

    answers, dispatch = await claimed(store, [asked, asked.model_copy(update={"repeat": True})])

    assert answers[0] == answers[1]
    assert len(answers[0].snapshots) == 1
    assert len(dispatch.happenings) == 1


async def test_every_attempt_has_the_next_number_and_a_token_of_its_own(store: SqlStore) -> None:
    """I6."""
    (first,) = await started(store)
    await advanced(store, TakeBack(first.id, first.attempt))

    (second,) = records(await granted(store, claim()))

    assert (first.attempt, second.attempt) == (1, 2)
    assert first.token != second.token
    assert second.started_at == first.started_at


async def test_the_next_attempt_finds_the_last_checkpoint(store: SqlStore) -> None:
    (first,) = await started(store)
    await advanced(store, CheckpointReport(**of(first), checkpoint={"page": 3}))
    await advanced(store, failed(first, 2, retry_after=timedelta(0)))

    answer = await granted(store, claim())

    assert [snapshot.checkpoint for snapshot in answer.snapshots] == ['{"page":3}']


async def test_a_claim_gives_its_worker_a_lease(store: SqlStore) -> None:
    await started(store)

    lapsed = await store.lapsed(10)

    assert lapsed == []


async def test_a_claim_never_shortens_a_lease(store: SqlStore) -> None:
    await started(store)

    await store.claim([claim()], NO_LEASE)

    assert await store.lapsed(10) == []


async def test_many_claimers_at_once_never_share_a_task(store: SqlStore, other: SqlStore) -> None:
    """I4, and no claim is told `empty` while enough tasks wait for all."""
    tasks = await accepted(store, *(draft(priority=n % 3) for n in range(60)))
    claims = [claim(3, worker=f"wrk_{n}") for n in range(20)]

    answers = await asyncio.gather(*(claimed((store, other)[n % 2], [one]) for n, one in enumerate(claims)))

    found = [record for (answer,), _ in answers for record in records(answer)]
    assert [answer.verdict for (answer,), _ in answers] == [Verdict.GRANTED] * 20
    assert sorted(ids(found)) == sorted(ids(tasks))
    assert len({record.token for record in found}) == 60


async def test_a_cancel_and_a_claim_at_once_leave_one_truth(store: SqlStore, other: SqlStore) -> None:
    tasks = await accepted(store, *(draft() for _ in range(30)))

    (answers, _), (verdicts, _) = await asyncio.gather(
        claimed(store, [claim(30)]), other.advance([Cancel(record.id) for record in tasks])
    )

    taken = {record.id for answer in answers for record in records(answer)}
    for record, verdict in zip(tasks, verdicts, strict=True):
        assert verdict.record is not None
        expected = Status.CANCELLING if record.id in taken else Status.CANCELLED
        assert verdict.record.status is expected
        assert (await current(store, record.id)).record.status is expected


async def test_the_answers_stand_in_the_order_of_the_claims(store: SqlStore) -> None:
    await accepted(store, draft())
    claims = [claim(claim_id=new_id("clm"), queue=queue) for queue in ("z", "test", "a")]

    answers, _ = await claimed(store, claims)

    assert [answer.claim_id for answer in answers] == [one.claim_id for one in claims]
    assert [len(answer.snapshots) for answer in answers] == [0, 1, 0]


async def test_a_grant_changes_nothing_but_what_an_attempt_is(store: SqlStore) -> None:
    (before,) = await accepted(store, draft(key="k", traceparent="00-a-b-01"))

    (after,) = records(await granted(store, claim()))

    assert after == replace(
        before,
        status=Status.RUNNING,
        attempt=1,
        seq=3,
        token=after.token,
        worker_id=after.worker_id,
        claim_id=after.claim_id,
        started_at=after.started_at,
    )


async def test_a_claim_is_told_of_tasks_that_wait_for_other_workers(store: SqlStore) -> None:
    await store.accept([draft(), draft(kind="test.other"), draft(queue="alone"), draft(version="2", queue="versions")])

    answers, _ = await claimed(
        store, [claim(2), claim(1), claim(2, queue="alone"), claim(1, queue="versions"), claim(1, queue="none")]
    )

    assert [(len(answer.snapshots), answer.others) for answer in answers] == [
        (1, True),
        (0, True),
        (1, False),
        (0, True),
        (0, False),
    ]


async def test_a_crowd_of_its_own_kind_does_not_hide_the_tasks_that_wait_for_other_workers(store: SqlStore) -> None:
    await store.accept([*(draft(kind="test.crowd") for _ in range(150)), draft(kind="test.lonely")])

    answer = await granted(store, claim(5, capacities=[Capacity(kind="test.crowd", version="1", count=1)]))

    assert (len(answer.snapshots), answer.others) == (1, True)


async def test_a_claim_that_gets_all_it_asked_for_is_told_of_no_others(store: SqlStore) -> None:
    await store.accept([draft(), draft(kind="test.other")])

    answer = await granted(store, claim(1))

    assert (len(answer.snapshots), answer.others) == (1, False)
