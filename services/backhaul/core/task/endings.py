"""How attempts end without success: failure, retry, hand-back, cancel. Pure."""

from datetime import datetime, timedelta

from backhaul.core.task.changes import NO_LEASE, Change, Log, Rules, after, raw
from backhaul.core.task.record import RawJson, Record, evolve
from backhaul.core.task.retry import backoff
from backhaul_contracts.events import EventType
from backhaul_contracts.failures import Failure, FailureCode
from backhaul_contracts.tasks import Status


def fail(
    record: Record,
    failure: Failure,
    retry_after: timedelta | None,
    now: datetime,
    rules: Rules,
    *,
    lost: bool = False,
) -> Change:
    """The attempt has failed: another is due after `retry_after` (None: after the back-off), or the task has failed."""
    failures, losses = record.failures + 1, record.losses + lost
    failure = failure.model_copy(update={"attempt": record.attempt})
    spent = failures >= record.max_attempts
    if failure.retryable and not spent:
        wait = retry_after
        if wait is None:
            wait = backoff(record.retry_base, record.retry_cap, failures, rules.draw)
        failed = evolve(record, failures=failures, losses=losses, error=_text(failure))
        return retry(failed, now, after(now, wait), failure)
    if spent and losses == failures:
        failure = _dead_lettered(failure, failures)
    log = Log(record, now)
    log.end(Status.FAILED, rules, failures=failures, losses=losses, error=_text(failure))
    log.add(EventType.FAILED, error=failure.model_dump(mode="json"), keep_through=record.keep_through)
    return log.change()


def retry(record: Record, now: datetime, due: datetime, failure: Failure | None) -> Change:
    """Another attempt is due; at once, if `due` is not in the future."""
    log = Log(record, now)
    log.move(status=Status.RETRYING, not_before=due, **NO_LEASE)
    log.add(
        EventType.RETRYING,
        attempt=record.attempt,
        keep_through=record.keep_through,
        retry_at=due,
        error=failure and failure.model_dump(mode="json"),
    )
    if due <= now:
        log.move(status=Status.QUEUED, not_before=None)
        log.add(EventType.QUEUED)
    return log.change()


def hand_back(record: Record, now: datetime, rules: Rules) -> Change:
    """The attempt has ended through no fault of its own. If it was asked to stop, it now has."""
    if record.status is Status.CANCELLING:
        return cancelled(record, now, rules, confirmed=True)
    return retry(record, now, now, None)


def cancelled(record: Record, now: datetime, rules: Rules, *, confirmed: bool) -> Change:
    """The task is cancelled. `confirmed`: no code of it runs any more."""
    outcome = "confirmed" if confirmed else "unconfirmed"
    log = Log(record, now)
    log.end(Status.CANCELLED, rules, cancel_outcome=outcome)
    log.add(EventType.CANCELLED, reason=record.cancel_reason, outcome=outcome, keep_through=record.keep_through)
    return log.change()


def expired(record: Record, now: datetime, rules: Rules) -> Change:
    """Nobody started the task before its deadline."""
    failure = Failure(
        code=FailureCode.EXPIRED, title="The task expired", detail="No worker started it before its deadline."
    )
    log = Log(record, now)
    log.end(Status.EXPIRED, rules, error=_text(failure))
    log.add(EventType.EXPIRED, error=failure.model_dump(mode="json"))
    return log.change()


def _dead_lettered(failure: Failure, failures: int) -> Failure:
    return failure.model_copy(
        update={
            "code": FailureCode.DEAD_LETTERED,
            "title": "Whatever ran the task died",
            "detail": f"Each of {failures} attempts lost its worker or its process. The last: {failure.detail}",
            "retryable": False,
        }
    )


def _text(failure: Failure) -> RawJson:
    return raw(failure.model_dump(mode="json"))
