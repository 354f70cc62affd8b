"""Advancing: reports are fenced, and every command is one guarded transition."""

import asyncio
from datetime import timedelta

import pytest

from backhaul.core.ports.dispatch import Token
from backhaul.core.task.commands import Cancel, Command, Expire, GiveUp, Lose, Release, Rerun, TakeBack
from backhaul.core.task.transitions import Change, Refusal
from backhaul.store import SqlStore
from backhaul_contracts.ids import new_task_id
from backhaul_contracts.reports import (
    CheckpointReport,
    HandedBackReport,
    LogReport,
    OutputReport,
    ProgressReport,
    Ruling,
    StoppedReport,
)
from backhaul_contracts.tasks import Progress, Status
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
    log,
    of,
    records,
    refused,
    started,
    story,
    succeeded,
)


async def test_a_result_is_recorded_word_for_word(store: SqlStore) -> None:
    (record,) = await started(store)

    (verdict,), dispatch = await store.advance([succeeded(record, result={"pages": [1, 2.5, None, "…"]})])

    assert isinstance(verdict, Change)
    kept = await current(store, record.id)
    assert kept.record == verdict.record
    assert kept.record.status is Status.SUCCEEDED
    assert kept.result == '{"pages":[1,2.5,null,"…"]}'
    assert [happening.event for happening in dispatch.happenings] == (await log(store, record.id))[3:]


async def test_a_result_of_null_is_a_result(store: SqlStore) -> None:
    (record,) = await started(store)

    await advanced(store, succeeded(record, result=None))

    assert (await current(store, record.id)).result == "null"


async def test_a_whole_attempt_is_recorded_in_one_batch(store: SqlStore) -> None:
    (record,) = await started(store)
    reports: list[Command] = [
        ProgressReport(**of(record, 1), progress=Progress(done=1, total=2)),
        OutputReport(**of(record, 2), delta="Hel"),
        OutputReport(**of(record, 3), delta="lo"),
        CheckpointReport(**of(record, 4), checkpoint={"page": 1}),
        LogReport(**of(record, 5), message="almost there"),
        succeeded(record, 6),
    ]

    verdicts, dispatch = await store.advance(reports)

    assert all(isinstance(verdict, Change) for verdict in verdicts)
    kept = await current(store, record.id)
    assert (kept.record.number, kept.record.seq, kept.record.keep_through) == (6, 8, 6)
    assert kept.checkpoint == '{"page":1}'
    assert await story(store, record.id) == [
        *("accepted", "queued", "started"),
        *("progress", "output", "output", "log", "succeeded"),
    ]
    assert [happening.event.seq for happening in dispatch.happenings] == [4, 5, 6, 7, 8]


async def test_a_report_under_another_token_is_stale(store: SqlStore) -> None:
    """I5."""
    (record,) = await started(store)
    forged = succeeded(record).model_copy(update={"token": "another"})

    refusal = await refused(store, forged)

    assert refusal.ruling is Ruling.STALE
    assert (await current(store, record.id)).record == record


async def test_a_report_of_an_older_attempt_is_stale(store: SqlStore) -> None:
    """I5."""
    (old,) = await started(store)
    await advanced(store, TakeBack(old.id, old.attempt))
    (new,) = records(await granted(store, claim()))

    refusal = await refused(store, succeeded(old))

    assert refusal.ruling is Ruling.STALE
    assert (await current(store, old.id)).record == new


async def test_a_repeated_report_is_recorded_already(store: SqlStore) -> None:
    (record,) = await started(store)
    report = OutputReport(**of(record), delta="once")
    await advanced(store, report)

    verdicts, dispatch = await store.advance([report, OutputReport(**of(record, 2), delta="twice"), report])

    rulings = [verdict.ruling for verdict in verdicts if isinstance(verdict, Refusal)]
    assert rulings == [Ruling.RECORDED, Ruling.RECORDED]
    assert len(dispatch.happenings) == 1
    assert (await story(store, record.id)).count("output") == 2


async def test_a_report_after_a_missing_one_is_a_gap(store: SqlStore) -> None:
    """I6."""
    (record,) = await started(store)

    verdicts, _ = await store.advance([OutputReport(**of(record, 1), delta="a"), succeeded(record, 3)])

    gap = verdicts[1]
    assert isinstance(gap, Refusal)
    assert gap.record is not None
    assert (gap.ruling, gap.record.number) == (Ruling.GAP, 1)


async def test_reports_that_only_the_stream_shows_owe_nothing_durable(store: SqlStore) -> None:
    (record,) = await started(store)

    reports: list[Command] = [OutputReport(**of(record, 1), delta="a"), LogReport(**of(record, 2), message="b")]

    _, dispatch = await store.advance(reports)

    assert dispatch.outbox_id is None
    assert len(dispatch.happenings) == 2


async def test_a_checkpoint_owes_nothing_at_all(store: SqlStore) -> None:
    (record,) = await started(store)

    _, dispatch = await store.advance([CheckpointReport(**of(record), checkpoint=[1])])

    assert (dispatch.outbox_id, dispatch.tokens, dispatch.happenings) == (None, (), ())
    assert (await current(store, record.id)).checkpoint == "[1]"


async def test_a_later_checkpoint_replaces_the_earlier(store: SqlStore) -> None:
    (record,) = await started(store)

    await store.advance([CheckpointReport(**of(record, number), checkpoint=number) for number in (1, 2)])
    await advanced(store, OutputReport(**of(record, 3), delta="x"))

    assert (await current(store, record.id)).checkpoint == "2"


async def test_a_command_on_an_unknown_task_is_refused_without_a_record(store: SqlStore) -> None:
    refusal = await refused(store, Cancel(new_task_id()))

    assert refusal.record is None


async def test_a_failed_attempt_is_retried_later(store: SqlStore) -> None:
    (record,) = await started(store)

    after = await advanced(store, failed(record, retry_after=timedelta(minutes=1)))

    kept = (await current(store, record.id)).record
    assert kept == after
    assert (kept.status, kept.failures, kept.worker_id) == (Status.RETRYING, 1, None)
    assert kept.not_before is not None


async def test_a_retry_that_is_due_at_once_owes_a_token(store: SqlStore) -> None:
    (record,) = await started(store)

    (verdict,), dispatch = await store.advance([failed(record, retry_after=timedelta(0))])

    assert verdict.record is not None
    assert verdict.record.status is Status.QUEUED
    assert dispatch.tokens == (Token("test", record.id),)


async def test_no_token_is_owed_for_a_task_that_moves_on_in_the_same_batch(store: SqlStore) -> None:
    (record,) = await started(store)

    verdicts, dispatch = await store.advance([HandedBackReport(**of(record)), Cancel(record.id)])

    assert all(isinstance(verdict, Change) for verdict in verdicts)
    assert dispatch.tokens == ()
    assert (await current(store, record.id)).record.status is Status.CANCELLED


async def test_the_last_failure_is_final(store: SqlStore) -> None:
    await accepted(store, draft(max_attempts=2))
    for last in (False, True):
        (record,) = records(await granted(store, claim()))
        after = await advanced(store, failed(record, retry_after=timedelta(0)))
        assert after.status is (Status.FAILED if last else Status.QUEUED)

    kept = (await current(store, record.id)).record
    assert (kept.failures, kept.attempt) == (2, 2)
    assert kept.retained_until is not None


async def test_a_waiting_task_is_cancelled_at_once_and_never_runs(store: SqlStore) -> None:
    (record,) = await accepted(store, draft())

    after = await advanced(store, Cancel(record.id, reason="changed my mind"))

    assert (after.status, after.cancel_outcome, after.cancel_reason) == (
        Status.CANCELLED,
        "confirmed",
        "changed my mind",
    )
    assert records(await granted(store, claim())) == []


async def test_a_running_task_is_cancelled_when_its_worker_says_so(store: SqlStore) -> None:
    (record,) = await started(store)

    asked = await advanced(store, Cancel(record.id))
    stopped = await advanced(store, StoppedReport(**of(record)))

    assert (asked.status, stopped.status, stopped.cancel_outcome) == (
        Status.CANCELLING,
        Status.CANCELLED,
        "confirmed",
    )


async def test_the_first_terminal_write_wins(store: SqlStore, other: SqlStore) -> None:
    """I2, I8: success and cancel race for many tasks, and both stores see the same end of each."""
    running = await started(store, 20)
    await store.advance([Cancel(record.id) for record in running])

    (done, _), (stopped, _) = await asyncio.gather(
        store.advance([succeeded(record) for record in running]),
        other.advance([StoppedReport(**of(record)) for record in reversed(running)]),
    )

    for record, won, lost in zip(running, done, reversed(stopped), strict=True):
        assert isinstance(won, Change) != isinstance(lost, Change)
        kept = (await current(store, record.id)).record
        assert kept.status is (Status.SUCCEEDED if isinstance(won, Change) else Status.CANCELLED)
        assert (await story(store, record.id))[-1] == kept.status


async def test_a_done_task_is_not_cancelled(store: SqlStore) -> None:
    (record,) = await started(store)
    done = await advanced(store, succeeded(record))

    refusal = await refused(store, Cancel(record.id))

    assert refusal.record == done


async def test_a_cancel_is_given_up_when_its_grace_is_over(store: SqlStore) -> None:
    patient, hasty = await started(store, 2)
    await store.advance([Cancel(patient.id), Cancel(hasty.id, grace=timedelta(0))])

    still = await refused(store, GiveUp(patient.id))
    ended = await advanced(store, GiveUp(hasty.id))

    assert still.record is not None
    assert still.record.status is Status.CANCELLING
    assert (ended.status, ended.cancel_outcome) == (Status.CANCELLED, "unconfirmed")


async def test_an_ended_task_can_be_run_again(store: SqlStore) -> None:
    (record,) = await accepted(store, draft())
    await advanced(store, Cancel(record.id))

    (verdict,), dispatch = await store.advance([Rerun(record.id)])
    (again,) = records(await granted(store, claim()))

    assert isinstance(verdict, Change)
    assert dispatch.tokens == (Token("test", record.id),)
    assert (again.id, again.attempt, again.cancel_outcome, again.retained_until) == (record.id, 1, None, None)


async def test_a_succeeded_task_is_not_run_again(store: SqlStore) -> None:
    (record,) = await started(store)
    await advanced(store, succeeded(record))

    refusal = await refused(store, Rerun(record.id))

    assert refusal.ruling is Ruling.STALE


async def test_a_scheduled_task_is_released_when_it_is_due(store: SqlStore) -> None:
    due, early = await accepted(store, draft(scheduled_for=PAST), draft(scheduled_for=FUTURE))

    verdicts, dispatch = await store.advance([Release(due.id), Release(early.id)])

    assert [type(verdict) for verdict in verdicts] == [Change, Refusal]
    assert dispatch.tokens == (Token("test", due.id),)


async def test_a_task_expires_only_before_it_has_started(store: SqlStore) -> None:
    late, patient = await accepted(store, draft(expires_at=PAST), draft(expires_at=FUTURE))
    (running,) = await started(store)

    verdicts, _ = await store.advance([Expire(late.id), Expire(patient.id), Expire(running.id)])

    assert [type(verdict) for verdict in verdicts] == [Change, Refusal, Refusal]
    assert (await current(store, late.id)).record.status is Status.EXPIRED


async def test_a_grant_that_never_arrived_is_taken_back_without_a_failure(store: SqlStore) -> None:
    (record,) = await started(store)

    after = await advanced(store, TakeBack(record.id, record.attempt))

    assert (after.status, after.failures) == (Status.QUEUED, 0)


@pytest.mark.parametrize("make", [TakeBack, Lose])
async def test_an_older_attempt_is_neither_lost_nor_taken_back(
    store: SqlStore, make: type[TakeBack] | type[Lose]
) -> None:
    (record,) = await started(store)
    await advanced(store, TakeBack(record.id, 1))
    (running,) = records(await granted(store, claim()))

    refusal = await refused(store, make(record.id, 1))

    assert refusal.record == running


async def test_answers_stand_in_the_order_of_the_commands(store: SqlStore) -> None:
    tasks = await accepted(store, *(draft() for _ in range(10)))
    unknown = new_task_id()
    commands = [Cancel(record.id) for record in reversed(tasks)] + [Cancel(unknown)]

    verdicts, _ = await store.advance(commands)

    assert [verdict.record and verdict.record.id for verdict in verdicts] == [
        *(record.id for record in reversed(tasks)),
        None,
    ]


async def test_batches_that_cross_each_other_all_get_through(store: SqlStore, other: SqlStore) -> None:
    """Rows are locked in the order of their ids, whatever the order of the commands."""
    running = await started(store, 30)

    def batch(number: int) -> list[OutputReport]:
        ordered = running if number % 2 else list(reversed(running))
        return [OutputReport(**of(record, number), delta=number) for record in ordered]

    for number in range(1, 11, 2):
        await asyncio.gather(store.advance(batch(number)), other.advance(batch(number)))
        await asyncio.gather(store.advance(batch(number + 1)), other.advance(batch(number + 1)))

    for record in running:
        seqs = [event.seq for event in await log(store, record.id)]
        assert seqs == list(range(1, 14))


async def test_two_stores_write_one_log_without_holes(store: SqlStore, other: SqlStore) -> None:
    """I7: racing reports, cancels and repeats never skip or reuse a `seq`."""
    running = await started(store, 8)
    reports = [OutputReport(**of(record, number), delta=number) for number in (1, 2, 3) for record in running]

    await asyncio.gather(
        store.advance(reports),
        other.advance(reports),
        store.advance([Cancel(record.id) for record in running]),
        other.advance([Cancel(record.id) for record in running]),
    )

    for record in running:
        events = await log(store, record.id)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert (await current(store, record.id)).record.seq == len(events) == 7
