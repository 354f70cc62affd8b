"""Leases: what a worker holds lasts as long as its signs of life, and what got lost on the way is found."""

import asyncio

import pytest

from backhaul.core.clock import from_ms, system_ms
from backhaul.core.ports.dispatch import Dispatch
from backhaul.core.task.commands import Cancel, Lose, TakeBack
from backhaul.core.task.transitions import Change
from backhaul.store import SqlStore
from backhaul_contracts.claims import Verdict
from backhaul_contracts.reports import OutputReport
from backhaul_contracts.tasks import Status
from tests.conformance.store.given import (
    LEASE,
    NO_LEASE,
    WORKER,
    accepted,
    advanced,
    announcement,
    beat,
    claim,
    current,
    draft,
    granted,
    ids,
    lease_left,
    of,
    records,
    refused,
    started,
    succeeded,
)


async def test_a_beat_confirms_what_its_worker_holds_by_right(store: SqlStore) -> None:
    held = await started(store, 2)

    (leases,) = await store.beat([beat(*held)], LEASE)

    assert leases.worker_id == WORKER
    assert leases.current == {record.id: record for record in held}
    assert leases.unclaimed == ()


async def test_a_beat_shows_what_is_to_be_stopped(store: SqlStore) -> None:
    running, cancelling, ended = await started(store, 3)
    await advanced(store, Cancel(cancelling.id))
    await advanced(store, succeeded(ended))

    (leases,) = await store.beat([beat(running, cancelling, ended)], LEASE)

    assert {task_id: record.status for task_id, record in leases.current.items()} == {
        running.id: Status.RUNNING,
        cancelling.id: Status.CANCELLING,
    }


async def test_an_attempt_is_held_only_under_its_own_token(store: SqlStore) -> None:
    (record,) = await started(store)
    forged = beat(record)
    forged.held[0] = forged.held[0].model_copy(update={"token": "another"})

    (leases,) = await store.beat([forged], LEASE)

    assert leases.current == {}
    assert leases.unclaimed == ()


async def test_nobody_holds_the_attempts_of_another_worker(store: SqlStore) -> None:
    (record,) = await started(store)

    (leases,) = await store.beat([beat(record, worker="wrk_other")], LEASE)

    assert leases.current == {}


async def test_an_attempt_lapses_when_its_worker_falls_silent(store: SqlStore) -> None:
    lost = await started(store, 2, lease=NO_LEASE)

    lapsed = await store.lapsed(10)
    verdicts, dispatch = await store.advance(lapsed)

    assert sorted(lapsed, key=lambda lose: lose.task_id) == [Lose(record.id, 1) for record in lost]
    assert [type(verdict) for verdict in verdicts] == [Change, Change]
    assert len(dispatch.tokens) == 2
    for record in lost:
        kept = (await current(store, record.id)).record
        assert (kept.status, kept.failures, kept.losses) == (Status.QUEUED, 1, 1)
    assert await store.lapsed(10) == []


async def test_the_time_is_told_that_leases_are_measured_by(store: SqlStore) -> None:
    before = from_ms(system_ms())
    told = await store.now()
    after = from_ms(system_ms())

    assert before <= told <= after


async def test_no_more_lapsed_attempts_are_named_than_asked_for(store: SqlStore) -> None:
    await started(store, 5, lease=NO_LEASE)

    assert len(await store.lapsed(3)) == 3


async def test_a_beat_carries_all_that_its_worker_holds(store: SqlStore) -> None:
    held = await started(store, 3, lease=NO_LEASE)

    await store.beat([beat(*held)], LEASE)

    assert await store.lapsed(10) == []


async def test_an_attempt_whose_lease_still_runs_is_not_lost(store: SqlStore) -> None:
    """I4: whoever asks has read an older state of the lease."""
    (record,) = await started(store)

    refusal = await refused(store, Lose(record.id, record.attempt))

    assert refusal.record == record
    assert (await current(store, record.id)).record.status is Status.RUNNING


async def test_a_lease_that_lapsed_unseen_can_be_renewed(store: SqlStore) -> None:
    (record,) = await started(store, lease=NO_LEASE)
    (lapsed,) = await store.lapsed(10)

    (leases,) = await store.beat([beat(record)], LEASE)
    refusal = await refused(store, lapsed)

    assert leases.current == {record.id: record}
    assert refusal.record == record


async def test_a_report_on_a_lapsed_but_unreaped_lease_counts(store: SqlStore) -> None:
    (record,) = await started(store, lease=NO_LEASE)

    after = await advanced(store, succeeded(record))

    assert after.status is Status.SUCCEEDED


async def test_a_lost_attempt_that_was_being_cancelled_ends_unconfirmed(store: SqlStore) -> None:
    (record,) = await started(store, lease=NO_LEASE)
    await advanced(store, Cancel(record.id))

    after = await advanced(store, Lose(record.id, 1))

    assert (after.status, after.cancel_outcome) == (Status.CANCELLED, "unconfirmed")


async def test_one_silent_worker_does_not_lapse_the_others(store: SqlStore) -> None:
    (lost,) = await started(store, worker="wrk_silent", lease=NO_LEASE)
    await started(store, worker="wrk_alive")

    assert await store.lapsed(10) == [Lose(lost.id, 1)]


async def test_a_beat_and_a_loss_at_once_agree(store: SqlStore, other: SqlStore) -> None:
    """I4: no beat is answered with an attempt that is being taken away."""
    for number in range(1, 11):
        worker = f"wrk_{number}"
        held = await started(store, 3, worker=worker, lease=NO_LEASE)

        (leases,), (verdicts, _) = await asyncio.gather(
            store.beat([beat(*held, worker=worker)], LEASE),
            other.advance([Lose(record.id, record.attempt) for record in held]),
        )

        lost = {verdict.record.id for verdict in verdicts if isinstance(verdict, Change)}
        assert leases.current.keys() == {record.id for record in held} - lost
        await store.advance([Cancel(record.id) for record in held])


async def test_a_grant_that_its_worker_never_heard_of_is_named(store: SqlStore) -> None:
    (record,) = await started(store, beat=3)

    (leases,) = await store.beat([beat(number=4)], LEASE)

    assert leases.unclaimed == (record,)
    assert leases.current == {}


async def test_a_grant_may_still_be_under_way_to_a_claim_that_is_pending(store: SqlStore) -> None:
    (record,) = await started(store, beat=3)

    (leases,) = await store.beat([beat(number=4, claims=[str(record.claim_id)])], LEASE)

    assert leases.unclaimed == ()


async def test_a_beat_older_than_the_claim_proves_nothing(store: SqlStore) -> None:
    await started(store, beat=3)

    (leases,) = await store.beat([beat(number=3)], LEASE)

    assert leases.unclaimed == ()


async def test_a_worker_is_known_once_it_has_announced(store: SqlStore) -> None:
    (unknown,) = await store.beat([beat()], LEASE)
    (announcing,) = await store.beat([beat(number=2, announcement=announcement())], LEASE)
    (later,) = await store.beat([beat(number=3)], LEASE)

    assert [leases.known for leases in (unknown, announcing, later)] == [False, True, True]


async def test_two_beats_of_one_worker_are_answered_both(store: SqlStore) -> None:
    """A backlog may hold several, and the older may come last."""
    (record,) = await started(store)

    leases = await store.beat(
        [beat(record, number=3), beat(record, number=2, announcement=announcement(), running=9)], LEASE
    )

    assert [one.current for one in leases] == [{record.id: record}] * 2
    assert [one.known for one in leases] == [True, True]
    assert [worker.running for worker in await store.workers()] == [1]


async def test_a_platform_that_starts_alone_ends_every_lease(store: SqlStore) -> None:
    held = await started(store, 2)

    await store.end_leases()

    assert len(await store.lapsed(10)) == len(held)


async def test_workers_are_listed_as_their_last_beat_described_them(store: SqlStore) -> None:
    await store.beat([beat(worker="wrk_b", slots=4, running=2, state="draining"), beat(worker="wrk_a")], LEASE)
    await store.beat([beat(worker="wrk_c")], NO_LEASE)

    found = await store.workers()

    assert [(one.id, one.slots, one.running, one.state) for one in found] == [
        ("wrk_a", 10, 0, "ready"),
        ("wrk_b", 4, 2, "draining"),
        ("wrk_c", 10, 0, "lost"),
    ]
    assert {(one.service, one.version) for one in found} == {("test", "1.0.0")}


async def test_a_worker_that_has_never_beaten_is_not_listed(store: SqlStore) -> None:
    await store.claim([claim()], LEASE)

    assert await store.workers() == []


@pytest.mark.parametrize("count", [1, 200])
async def test_a_beat_lists_however_much_its_worker_holds(store: SqlStore, count: int) -> None:
    held = await started(store, count)
    await store.advance([OutputReport(**of(record), delta="x") for record in held])

    (leases,) = await store.beat([beat(*held)], LEASE)

    assert len(leases.current) == count
    assert {record.number for record in leases.current.values()} == {1}


async def test_a_claim_of_a_worker_that_is_alive_extends_the_lease_of_all_it_holds(store: SqlStore) -> None:
    await store.beat([beat()], LEASE)

    await store.claim([claim()], 10 * LEASE)
    after_a_long_one = await lease_left(store)
    await store.claim([claim()], LEASE)
    after_a_shorter_one = await lease_left(store)

    assert 9 * LEASE < after_a_shorter_one <= after_a_long_one <= 10 * LEASE


@pytest.mark.parametrize("repeat", [False, True])
async def test_a_claim_neither_renews_a_lease_that_is_over_nor_gets_anything(store: SqlStore, repeat: bool) -> None:
    """Its worker may be dead; if it is not, it repeats the claim after its next beat."""
    held = await started(store, lease=NO_LEASE)
    await store.accept([draft()])
    asked = claim(repeat=repeat, claim_id=held[0].claim_id)

    silent = await store.claim([asked], LEASE)
    lapsed = await store.lapsed(10)
    await store.beat([beat(*held, claims=[asked.claim_id])], LEASE)
    (answer,), _ = await store.claim([claim()], LEASE)

    assert silent == ([None], Dispatch())
    assert lapsed == [Lose(held[0].id, 1)]
    assert answer is not None
    assert answer.verdict is Verdict.GRANTED


async def test_a_claim_of_a_worker_that_has_never_beaten_gets_no_answer(store: SqlStore) -> None:
    (record,) = await accepted(store, draft())

    answers, _ = await store.claim([claim(worker="wrk_unheard"), claim(worker="wrk_unheard", queue="other")], LEASE)

    assert answers == [None, None]
    assert (await current(store, record.id)).record.attempt == 0


async def test_others_are_granted_what_a_dead_worker_has_asked_for(store: SqlStore) -> None:
    await started(store, worker="wrk_dead", lease=NO_LEASE)
    await store.accept([draft()])
    await store.beat([beat()], LEASE)

    answers, _ = await store.claim([claim(worker="wrk_dead"), claim()], LEASE)

    assert answers[0] is None
    assert answers[1] is not None
    assert len(answers[1].snapshots) == 1


async def test_nothing_is_granted_after_a_farewell(store: SqlStore) -> None:
    (held,) = await started(store)
    await store.accept([draft()])

    await store.beat([beat(number=9, state="gone")], LEASE)
    late = [beat(number=8), beat(number=10, announcement=announcement())]
    (older, newer) = await store.beat(late, LEASE)
    answers, _ = await store.claim([claim(), claim(repeat=True, claim_id=held.claim_id)], LEASE)

    assert answers == [None, None]
    assert (older.known, newer.known) == (False, False)
    assert await store.workers() == []


async def test_a_farewell_tells_what_its_worker_never_heard_of_and_what_it_leaves_unfinished(store: SqlStore) -> None:
    await store.accept([draft(), draft()])
    (unheard,) = records(await granted(store, claim(beat=3)))
    (unfinished,) = records(await granted(store, claim(beat=3)))

    (leases,) = await store.beat([beat(unfinished, number=4, state="gone")], LEASE)
    (again,) = await store.beat([beat(unfinished, number=4, state="gone")], LEASE)

    assert (leases.unclaimed, leases.left, leases.current) == ((unheard,), (unfinished,), {})
    assert again == leases


async def test_what_a_worker_leaves_behind_is_taken_back_at_once_and_is_no_failure(store: SqlStore) -> None:
    (record,) = await started(store)
    await store.beat([beat(record, number=2, state="gone")], LEASE)

    lapsed = await store.lapsed(10)
    after = await advanced(store, Lose(record.id, 1))

    assert lapsed == [Lose(record.id, 1)]
    assert (after.status, after.failures, after.losses) == (Status.QUEUED, 0, 0)


async def test_a_claim_and_a_farewell_at_once_agree(store: SqlStore, other: SqlStore) -> None:
    """Either the claim is not answered, or the farewell names what was granted on it."""
    for number in range(1, 21):
        worker = f"wrk_{number}"
        (record,) = await accepted(store, draft())
        await store.beat([beat(worker=worker)], LEASE)

        ((answer,), _), (leases,) = await asyncio.gather(
            store.claim([claim(worker=worker, beat=1)], LEASE),
            other.beat([beat(worker=worker, number=2, state="gone")], LEASE),
        )

        granted_ids = [] if answer is None else ids(answer.snapshots)
        assert ids(leases.unclaimed) == granted_ids
        await store.advance([Cancel(record.id), TakeBack(record.id, 1)])


async def test_many_workers_beat_at_once(store: SqlStore, other: SqlStore) -> None:
    await accepted(store, *(draft() for _ in range(20)))
    held = {f"wrk_{n}": records(await granted(store, claim(worker=f"wrk_{n}"))) for n in range(20)}
    beats = [beat(*mine, worker=worker) for worker, mine in held.items()]

    forward, backward = await asyncio.gather(store.beat(beats, LEASE), other.beat(beats[::-1], LEASE))

    assert [len(leases.current) for leases in forward] == [1] * 20
    assert forward == backward[::-1]
