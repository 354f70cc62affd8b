"""What decisions tell the world, by example. That they are right in every order is `test_transitions_properties`."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backhaul.core.task.commands import Cancel, Expire, GiveUp, Lose, Release, Rerun, TakeBack
from backhaul.core.task.record import Draft, RawJson, Record
from backhaul.core.task.transitions import Change, Lease, Refusal, Rules, accept, advance, claim
from backhaul_contracts import codec
from backhaul_contracts.failures import Failure
from backhaul_contracts.ids import LeaseToken, WorkerId, new_task_id
from backhaul_contracts.reports import (
    CheckpointReport,
    FailedReport,
    HandedBackReport,
    OutputReport,
    Ruling,
    SucceededReport,
)
from backhaul_contracts.tasks import Status

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RULES = Rules(retention=timedelta(hours=1), draw=lambda: 0.5)


def record(**fields: Any) -> Record:
    values: dict[str, Any] = {
        "id": new_task_id(),
        "tenant": "default",
        "kind": "test.echo",
        "version": "1",
        "queue": "test",
        "status": Status.QUEUED,
        "timeout": timedelta(minutes=1),
        "grace": 10 * SECOND,
        "max_attempts": 3,
        "retry_base": 4 * SECOND,
        "retry_cap": timedelta(minutes=5),
        "created_at": NOW,
    }
    return Record(**{**values, **fields})


def running(**fields: Any) -> Record:
    return change(claim(record(**fields), Lease(WorkerId("wrk_1"), "clm_1", 1, LeaseToken("t")), NOW)).record


def change(verdict: Change | Refusal) -> Change:
    assert isinstance(verdict, Change), verdict
    return verdict


def of(task: Record, number: int = 1) -> dict[str, Any]:
    return {"task_id": task.id, "attempt": task.attempt, "token": str(task.token), "number": number}


def told(verdict: Change | Refusal) -> list[tuple[str, Any]]:
    """The events of a change: short name and data."""
    return [(event.type.removeprefix("task."), codec.loads(event.data)) for event in change(verdict).events]


def broken(*, retryable: bool = True) -> Failure:
    return Failure(code="handler_error", title="It broke", detail="…", retryable=retryable)


def test_a_new_task_is_accepted_and_queued() -> None:
    assert told(accept(Draft(record(), RawJson("null"), None))) == [("accepted", {}), ("queued", {})]


def test_a_task_for_later_says_when() -> None:
    later = record(status=Status.SCHEDULED, scheduled_for=NOW + SECOND, not_before=NOW + SECOND)

    assert told(accept(Draft(later, RawJson("null"), None))) == [
        ("accepted", {}),
        ("scheduled", {"scheduled_for": "2030-01-01T00:00:01.000Z"}),
    ]


def test_a_claim_names_the_worker() -> None:
    verdict = claim(record(), Lease(WorkerId("wrk_1"), "clm_1", 1, LeaseToken("t")), NOW)

    assert told(verdict) == [("started", {"worker_id": "wrk_1"})]
    assert [event.attempt for event in change(verdict).events] == [1]


@pytest.mark.parametrize("forged", [{"attempt": 1}, {"attempt": 3}, {"token": "another"}])
def test_a_report_counts_only_under_the_number_and_the_token_of_the_attempt(forged: dict[str, Any]) -> None:
    """I5: either is enough to refuse it."""
    task = running(attempt=1)

    verdict = advance(task, SucceededReport(**{**of(task), **forged}), NOW, RULES)

    assert task.attempt == 2
    assert isinstance(verdict, Refusal)
    assert verdict.ruling is Ruling.STALE


def test_a_result_is_told_and_kept_as_it_was_sent() -> None:
    task = running()

    verdict = change(advance(task, SucceededReport(**of(task), result={"n": 2**80}), NOW, RULES))

    assert verdict.result == '{"n":1208925819614629174706176}'
    assert verdict.events[-1].data == '{"result":{"n":1208925819614629174706176}}'


def test_a_retry_says_when_and_how_much_of_the_output_stays() -> None:
    """The back-off draws evenly between zero and base * 2 ** (failures - 1): here the middle."""
    task = running(failures=1)
    for report in (
        OutputReport(**of(task, 1), delta="kept"),
        CheckpointReport(**of(task, 2), checkpoint={}),
        OutputReport(**of(task, 3), delta="dropped"),
    ):
        task = change(advance(task, report, NOW, RULES)).record

    verdict = advance(task, FailedReport(**of(task, 4), failure=broken()), NOW, RULES)

    ((name, data),) = told(verdict)
    assert name == "retrying"
    assert (data["attempt"], data["keep_through"], data["retry_at"]) == (1, 2, "2030-01-01T00:00:04.000Z")
    assert (data["error"]["code"], data["error"]["attempt"]) == ("handler_error", 1)


def test_a_handler_may_fix_the_wait_before_its_retry() -> None:
    task = running()

    verdict = advance(task, FailedReport(**of(task), failure=broken(), retry_after=9 * SECOND), NOW, RULES)

    assert change(verdict).record.not_before == NOW + 9 * SECOND


def test_a_retry_that_is_due_at_once_is_queued_at_once() -> None:
    task = running()

    verdict = advance(task, FailedReport(**of(task), failure=broken(), retry_after=timedelta(0)), NOW, RULES)

    assert [name for name, _ in told(verdict)] == ["retrying", "queued"]
    assert change(verdict).record.not_before is None


def test_a_wait_is_rounded_to_what_can_be_stored() -> None:
    task = running(retry_base=timedelta(microseconds=3_001))

    verdict = advance(task, FailedReport(**of(task), failure=broken()), NOW, RULES)

    assert change(verdict).record.not_before == NOW + timedelta(milliseconds=1)


def test_a_failure_that_is_final_leaves_the_budget_unused() -> None:
    task = running()

    verdict = advance(task, FailedReport(**of(task), failure=broken(retryable=False)), NOW, RULES)

    ((name, data),) = told(verdict)
    assert (name, data["error"]["code"], data["keep_through"]) == ("failed", "handler_error", 0)
    assert change(verdict).record.retained_until == NOW + RULES.retention


@pytest.mark.parametrize(("losses", "code"), [(2, "dead_lettered"), (1, "lost")])
def test_a_task_that_killed_every_worker_is_dead_lettered(losses: int, code: str) -> None:
    task = running(failures=2, losses=losses)

    verdict = advance(task, Lose(task.id, task.attempt), NOW, RULES)

    ((name, data),) = told(verdict)
    assert (name, data["error"]["code"]) == ("failed", code)


def test_a_budget_of_one_is_spent_by_one_loss() -> None:
    task = running(max_attempts=1)

    ((name, data),) = told(advance(task, Lose(task.id, task.attempt), NOW, RULES))

    assert (name, data["error"]["code"]) == ("failed", "dead_lettered")


def test_the_first_loss_is_made_good_at_once_and_chance_parts_those_that_were_lost_together_again() -> None:
    """Otherwise a task that kills its workers would take its neighbours with it each time, to the end."""
    first, second = running(), running(failures=1, losses=1)

    at_once, later = (advance(task, Lose(task.id, task.attempt), NOW, RULES) for task in (first, second))

    assert change(at_once).record.status is Status.QUEUED
    assert change(later).record.status is Status.RETRYING
    assert change(later).record.not_before == NOW + RULES.lease / 2


def test_failures_and_losses_share_a_budget_and_hand_backs_take_none_of_it() -> None:
    task = running(max_attempts=3)
    commands = (
        lambda task: HandedBackReport(**of(task)),
        lambda task: FailedReport(**of(task), failure=broken(), retry_after=timedelta(0)),
        lambda task: Lose(task.id, task.attempt),
        lambda task: TakeBack(task.id, task.attempt),
        lambda task: FailedReport(**of(task), failure=broken(), retry_after=timedelta(0)),
    )

    spent = []
    for command in commands:
        task = change(advance(task, command(task), NOW, RULES)).record
        spent.append((task.failures, task.status))
        lease = Lease(WorkerId("wrk_1"), "clm_1", 1, LeaseToken("t"))
        task = task if task.status.done else change(claim(task, lease, NOW)).record

    assert [failures for failures, _ in spent] == [0, 1, 2, 2, 3]
    assert [status for _, status in spent] == [*[Status.QUEUED] * 4, Status.FAILED]


def test_a_wait_may_outlast_the_retention_since_a_task_that_waits_has_not_ended() -> None:
    task = running()

    verdict = advance(task, FailedReport(**of(task), failure=broken(), retry_after=9 * RULES.retention), NOW, RULES)

    assert change(verdict).record.not_before == NOW + 9 * RULES.retention
    assert change(verdict).record.retained_until is None


@pytest.mark.parametrize(("losses", "code"), [(2, "dead_lettered"), (1, "lost")])
def test_a_task_that_killed_every_process_of_its_own_is_dead_lettered_too(losses: int, code: str) -> None:
    task = running(failures=2, losses=losses)
    killed = Failure(code="lost", title="The process of the attempt was lost", retryable=True)

    verdict = advance(task, FailedReport(**of(task), failure=killed), NOW, RULES)

    ((name, data),) = told(verdict)
    assert (name, data["error"]["code"]) == ("failed", code)


def test_a_cancel_that_has_to_wait_says_how_long() -> None:
    task = running()

    assert told(advance(task, Cancel(task.id, "enough"), NOW, RULES)) == [
        ("cancelling", {"reason": "enough", "grace": 10.0})
    ]


def test_a_success_that_was_faster_than_the_cancel_counts() -> None:
    task = change(advance(task := running(), Cancel(task.id), NOW, RULES)).record

    verdict = change(advance(task, SucceededReport(**of(task)), NOW, RULES))

    assert (verdict.record.status, verdict.record.cancel_outcome) == (Status.SUCCEEDED, None)


def test_a_task_that_nobody_started_in_time_says_so() -> None:
    task = record(expires_at=NOW)

    ((name, data),) = told(advance(task, Expire(task.id), NOW, RULES))

    assert (name, data["error"]["code"]) == ("expired", "expired")


def test_a_delay_ends_to_the_millisecond() -> None:
    task = record(status=Status.SCHEDULED, not_before=NOW)
    early = advance(task, Release(task.id), NOW - timedelta(milliseconds=1), RULES)

    assert isinstance(early, Refusal)
    assert told(advance(task, Release(task.id), NOW, RULES)) == [("queued", {})]


def test_a_new_run_goes_on_counting() -> None:
    ended = change(advance(task := running(), FailedReport(**of(task), failure=broken(retryable=False)), NOW, RULES))

    again = change(advance(ended.record, Rerun(task.id), NOW, RULES))

    assert told(again) == [("queued", {})]
    assert (again.record.attempt, again.record.seq, again.record.failures) == (1, ended.record.seq + 1, 0)


def test_a_new_run_waits_until_nobody_can_be_at_work_on_the_old_one() -> None:
    asked = change(advance(running(), Cancel(running().id, grace=timedelta(0)), NOW, RULES)).record
    ended = change(advance(asked, GiveUp(asked.id), NOW, RULES)).record

    early, late = (advance(ended, Rerun(ended.id), NOW + wait, RULES) for wait in (timedelta(0), RULES.lease))

    assert change(early).record.status is Status.SCHEDULED
    assert change(early).record.not_before == NOW + RULES.lease
    assert change(early).record.cancel_outcome is None
    assert told(late) == [("queued", {})]


def test_a_log_that_is_full_takes_the_end_of_the_task_all_the_same() -> None:
    rules = Rules(retention=RULES.retention, draw=RULES.draw, max_events=1)
    task = running()

    refusal = advance(task, OutputReport(**of(task), delta="one more"), NOW, rules)

    assert isinstance(refusal, Refusal)
    assert refusal.ruling is Ruling.REFUSED
    assert [name for name, _ in told(advance(task, SucceededReport(**of(task)), NOW, rules))] == ["succeeded"]


def test_a_handler_that_calls_its_failure_lost_has_lost_nothing() -> None:
    task = running(max_attempts=1)
    own = Failure(code="lost", title="The parcel is lost", retryable=False)

    ((name, data),) = told(advance(task, FailedReport(**of(task), failure=own), NOW, RULES))

    assert (name, data["error"]["code"], data["error"]["title"]) == ("failed", "lost", "The parcel is lost")
