"""A cancel and what it races with, in both orders."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backhaul.core.rendering import task_json
from backhaul.core.task.commands import Cancel, Command, Expire, GiveUp, Lose, Release, Rerun, TakeBack
from backhaul.core.task.record import RawJson, Record, Snapshot, evolve
from backhaul.core.task.transitions import Change, Lease, Refusal, advance, claim
from backhaul_contracts import codec
from backhaul_contracts.ids import LeaseToken, WorkerId
from backhaul_contracts.reports import (
    CheckpointReport,
    FailedReport,
    HandedBackReport,
    OutputReport,
    Ruling,
    StoppedReport,
    SucceededReport,
)
from backhaul_contracts.tasks import Status
from tests.unit.core.test_transitions import NOW, RULES, SECOND, broken, change, of, record, running, told

LEASE = Lease(WorkerId("wrk_2"), "clm_2", 1, LeaseToken("t2"))
HURRIED = timedelta(0)


def cancelling(**fields: Any) -> Record:
    return change(advance(task := running(**fields), Cancel(task.id, "enough"), NOW, RULES)).record


def waiting(**fields: Any) -> Record:
    return evolve(running(**fields), status=Status.WAITING)


def after(task: Record, *commands: Command, late: timedelta = timedelta(0)) -> Record:
    """The task after commands that are all granted."""
    for command in commands:
        task = change(advance(task, command, NOW + late, RULES)).record
    return task


def end(task: Record) -> tuple[Status, str | None]:
    return task.status, task.cancel_outcome


@pytest.mark.parametrize(
    "task",
    [
        record(),
        record(status=Status.SCHEDULED, not_before=NOW + SECOND),
        record(status=Status.RETRYING, not_before=NOW + SECOND, attempt=1, failures=1),
        record(attempt=2, failures=1),
    ],
    ids=["queued", "scheduled", "retrying", "queued again"],
)
def test_a_task_without_an_attempt_is_cancelled_at_once_and_never_runs(task: Record) -> None:
    cancelled = after(task, Cancel(task.id, "enough"))

    assert end(cancelled) == (Status.CANCELLED, "confirmed")
    assert isinstance(claim(cancelled, LEASE, NOW + 2 * SECOND), Refusal)
    for wish in (Release, Expire, GiveUp):
        assert isinstance(advance(cancelled, wish(task.id), NOW + 2 * SECOND, RULES), Refusal)


@pytest.mark.parametrize("held", [running, waiting])
def test_an_attempt_is_asked_to_stop(held: Any) -> None:
    task = held()

    assert after(task, Cancel(task.id)).status is Status.CANCELLING


@pytest.mark.parametrize(
    "stopped",
    [
        lambda task: StoppedReport(**of(task)),
        lambda task: HandedBackReport(**of(task)),
        lambda task: FailedReport(**of(task), failure=broken()),
        lambda task: FailedReport(**of(task), failure=broken(retryable=False), retry_after=SECOND),
        lambda task: TakeBack(task.id, task.attempt),
    ],
    ids=["stopped", "handed back", "failed", "failed for good", "never arrived"],
)
def test_whatever_ends_an_attempt_that_was_asked_to_stop_confirms_the_cancel(stopped: Any) -> None:
    """Drain, failure and time-out at the same moment included: no attempt follows."""
    task = cancelling()

    verdict = advance(task, stopped(task), NOW, RULES)

    assert end(change(verdict).record) == (Status.CANCELLED, "confirmed")
    assert [name for name, _ in told(verdict)] == ["cancelled"]


def test_an_attempt_that_timed_out_and_still_runs_does_not_confirm_it() -> None:
    """Its thread goes on, and nobody can say that no code of the task runs any more."""
    task = cancelling()

    ended = after(task, FailedReport(**of(task), failure=broken(), still_running=True))

    assert end(ended) == (Status.CANCELLED, "unconfirmed")


@pytest.mark.parametrize(
    "ending",
    [
        lambda task: HandedBackReport(**of(task)),
        lambda task: FailedReport(**of(task), failure=broken()),
        lambda task: Lose(task.id, task.attempt),
        lambda task: TakeBack(task.id, task.attempt),
    ],
    ids=["handed back", "failed", "lost", "never arrived"],
)
def test_a_cancel_behind_the_end_of_an_attempt_keeps_the_next_from_starting(ending: Any) -> None:
    task = running()

    cancelled = after(task, ending(task), Cancel(task.id))

    assert end(cancelled) == (Status.CANCELLED, "confirmed")
    assert isinstance(claim(cancelled, LEASE, NOW), Refusal)


@pytest.mark.parametrize("first", ["cancel", "result"])
def test_a_result_that_came_before_the_end_of_the_cancel_counts(first: str) -> None:
    task = running()
    commands: list[Command] = [Cancel(task.id), SucceededReport(**of(task), result=1)]

    if first == "cancel":
        ended = after(task, *commands)
    else:
        ended = after(task, commands[1])
        assert isinstance(advance(ended, commands[0], NOW, RULES), Refusal)

    assert end(ended) == (Status.SUCCEEDED, None)


@pytest.mark.parametrize("late", [0, 1])
def test_a_result_behind_the_end_of_the_cancel_is_stale(late: int) -> None:
    """I2, I8."""
    task = cancelling()
    ended = after(task, (StoppedReport(**of(task)), Lose(task.id, 1))[late])

    verdict = advance(ended, SucceededReport(**of(task)), NOW, RULES)

    assert isinstance(verdict, Refusal)
    assert (verdict.ruling, verdict.record) == (Ruling.STALE, ended)


def test_what_a_handler_says_while_it_cleans_up_is_recorded() -> None:
    task = cancelling()

    cleaned = after(
        task,
        OutputReport(**of(task, 1), delta="bye"),
        CheckpointReport(**of(task, 2), checkpoint={"page": 3}),
        StoppedReport(**of(task, 3)),
    )

    assert end(cleaned) == (Status.CANCELLED, "confirmed")
    assert cleaned.keep_through == cleaned.seq - 1


def test_a_lapse_behind_a_cancel_leaves_it_unconfirmed() -> None:
    task = cancelling()

    assert end(after(task, Lose(task.id, task.attempt))) == (Status.CANCELLED, "unconfirmed")


def test_the_grace_of_the_cancel_comes_before_that_of_the_kind() -> None:
    task = running(grace=10 * SECOND)

    asked = after(task, Cancel(task.id, grace=3 * SECOND))

    assert isinstance(advance(asked, GiveUp(task.id), NOW + 2 * SECOND, RULES), Refusal)
    assert end(after(asked, GiveUp(task.id), late=3 * SECOND)) == (Status.CANCELLED, "unconfirmed")


def test_the_word_of_a_stop_at_the_end_of_the_grace_is_waited_for() -> None:
    """A process that is killed then has stopped for certain."""
    rules = replace(RULES, notice=SECOND)
    task = running()
    asked = change(advance(task, Cancel(task.id, grace=3 * SECOND), NOW, rules)).record

    early = advance(asked, GiveUp(task.id), NOW + 3.5 * SECOND, rules)

    assert isinstance(early, Refusal)
    assert end(after(asked, StoppedReport(**of(task)), late=3.5 * SECOND)) == (Status.CANCELLED, "confirmed")
    assert end(after(asked, GiveUp(task.id), late=4 * SECOND)) == (Status.CANCELLED, "unconfirmed")


def test_without_grace_only_what_stops_at_once_is_confirmed() -> None:
    task = running()
    asked = after(task, Cancel(task.id, grace=HURRIED))

    assert end(after(asked, StoppedReport(**of(task)))) == (Status.CANCELLED, "confirmed")
    assert end(after(asked, GiveUp(task.id))) == (Status.CANCELLED, "unconfirmed")


def test_a_repeated_cancel_changes_nothing() -> None:
    task = cancelling()

    for again in (Cancel(task.id), Cancel(task.id, "another reason"), Cancel(task.id, grace=timedelta(hours=1))):
        assert isinstance(advance(task, again, NOW + SECOND, RULES), Refusal)


def test_a_repeated_cancel_may_end_the_grace_sooner_and_says_nothing_new() -> None:
    task = cancelling(grace=10 * SECOND)

    verdict = change(advance(task, Cancel(task.id, "hurry", 2 * SECOND), NOW + SECOND, RULES))

    assert verdict.events == ()
    assert verdict.record == replace(task, not_before=NOW + 3 * SECOND)


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.EXPIRED])
def test_an_ended_task_is_not_cancelled(status: Status) -> None:
    task = record(status=status, finished_at=NOW)

    assert isinstance(advance(task, Cancel(task.id, grace=HURRIED), NOW, RULES), Refusal)


def test_an_expiry_and_a_cancel_end_a_task_once() -> None:
    task = record(expires_at=NOW)

    expired, cancelled = after(task, Expire(task.id)), after(task, Cancel(task.id))

    assert (expired.status, cancelled.status) == (Status.EXPIRED, Status.CANCELLED)
    assert isinstance(advance(expired, Cancel(task.id), NOW, RULES), Refusal)
    assert isinstance(advance(cancelled, Expire(task.id), NOW, RULES), Refusal)


def test_a_task_past_its_deadline_is_not_claimed_and_a_claimed_one_does_not_expire() -> None:
    task = record(expires_at=NOW)

    assert isinstance(claim(task, LEASE, NOW), Refusal)
    claimed = change(claim(task, LEASE, NOW - timedelta(milliseconds=1))).record
    assert isinstance(advance(claimed, Expire(task.id), NOW, RULES), Refusal)
    again = after(claimed, HandedBackReport(**of(claimed)))
    assert isinstance(advance(again, Expire(task.id), NOW + SECOND, RULES), Refusal)
    assert isinstance(claim(again, LEASE, NOW + SECOND), Change)


def shown(task: Record) -> dict[str, Any]:
    value: dict[str, Any] = codec.loads(task_json(Snapshot(task, RawJson("null"))))
    return value


def test_a_new_run_of_a_task_that_was_cancelled_before_its_time_waits_for_that_time() -> None:
    later = NOW + 60 * SECOND
    task = record(status=Status.SCHEDULED, scheduled_for=later, not_before=later)

    again = change(advance(after(task, Cancel(task.id)), Rerun(task.id), NOW, RULES))

    assert told(again) == [("scheduled", {"scheduled_for": "2030-01-01T00:01:00.000Z"})]
    assert (shown(again.record)["status"], shown(again.record)["scheduled_for"]) == (
        "scheduled",
        "2030-01-01T00:01:00.000Z",
    )


def test_a_new_run_that_waits_for_an_old_lease_shows_for_how_long() -> None:
    task = cancelling()
    ended = after(task, GiveUp(task.id), late=10 * SECOND)

    again = after(ended, Rerun(task.id), late=11 * SECOND)

    assert shown(again)["scheduled_for"] == "2030-01-01T00:00:30.000Z"
    assert shown(after(again, Release(task.id), late=30 * SECOND))["scheduled_for"] is None


@pytest.mark.parametrize("confirmed", [True, False])
def test_the_end_says_how_much_of_the_output_a_new_run_builds_on(confirmed: bool) -> None:
    task = running()
    saved = after(task, CheckpointReport(**of(task, 1), checkpoint={"page": 1}))
    asked = after(saved, OutputReport(**of(task, 2), delta="in vain"), Cancel(task.id))

    stop: Command = StoppedReport(**of(task, 3)) if confirmed else Lose(task.id, 1)

    ((name, data),) = told(advance(asked, stop, NOW, RULES))
    assert (name, data["keep_through"]) == ("cancelled", saved.seq)
