"""Deciding: a record and a command in, what becomes of the record out. Pure: time and chance are handed in.

The table in `lifecycle` says which moves exist; this module says what they do to the record and what they tell the
world. Whatever no rule allows is a `Refusal`, counted by the caller, and leaves the record as it was.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from backhaul.core import commands as cmd
from backhaul.core.lifecycle import Trigger, target
from backhaul.core.record import Draft, Event, RawJson, Record, evolve
from backhaul.core.retry import backoff
from backhaul_contracts import codec
from backhaul_contracts.events import EventType
from backhaul_contracts.failures import Failure, FailureCode
from backhaul_contracts.ids import LeaseToken, WorkerId
from backhaul_contracts.reports import (
    CheckpointReport,
    FailedReport,
    HandedBackReport,
    LogReport,
    OutputReport,
    ProgressReport,
    Ruling,
    StoppedReport,
    SucceededReport,
)
from backhaul_contracts.tasks import Status
from backhaul_contracts.wire import format_time


@dataclass(frozen=True, slots=True)
class Rules:
    """What a decision depends on beside record and command: how long ended tasks are kept, and a draw in [0, 1)."""

    retention: timedelta
    draw: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Change:
    """A granted wish: the record after it, what happened (in order), and the payloads it sets (None: as before)."""

    record: Record
    events: tuple[Event, ...] = ()
    result: RawJson | None = None
    checkpoint: RawJson | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing changes. For a report, `ruling` is what its worker is told."""

    record: Record | None
    ruling: Ruling
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """What a claim binds an attempt to."""

    worker_id: WorkerId
    claim_id: str
    claim_beat: int
    token: LeaseToken


def accept(draft: Draft) -> Change:
    """The first transition: a new task is queued, or scheduled if it has a time to wait for."""
    record = draft.record
    log = _Log(record, record.created_at)
    log.add(EventType.ACCEPTED)
    if record.status is Status.SCHEDULED:
        log.add(EventType.SCHEDULED, scheduled_for=record.scheduled_for)
    else:
        log.add(EventType.QUEUED)
    return log.change()


def claim(record: Record, lease: Lease, now: datetime) -> Change | Refusal:
    """A worker gets the task: the next attempt starts under a fresh token."""
    if target(record.status, Trigger.CLAIM) is None or _deadline_passed(record, now):
        return Refusal(record, Ruling.STALE)
    log = _Log(record, now)
    log.move(
        status=Status.RUNNING,
        attempt=record.attempt + 1,
        number=0,
        keep_through=0,
        token=lease.token,
        worker_id=lease.worker_id,
        claim_id=lease.claim_id,
        claim_beat=lease.claim_beat,
        progress=None,
        not_before=None,
        started_at=record.started_at or now,
    )
    log.add(EventType.STARTED, worker_id=lease.worker_id)
    return log.change()


def advance(record: Record, command: cmd.Command, now: datetime, rules: Rules) -> Change | Refusal:
    """What becomes of `record` when `command` is applied at `now`."""
    return _DECISIONS[type(command)](record, command, now, rules)


def _due(now: datetime, wait: timedelta) -> datetime:
    """`wait` from `now`, in whole milliseconds, which is how moments are stored."""
    return now + wait - timedelta(microseconds=wait.microseconds % 1000)


def _deadline_passed(record: Record, now: datetime) -> bool:
    return record.attempt == 0 and record.expires_at is not None and record.expires_at <= now


@dataclass(slots=True)
class _Log:
    """Collects what one transition changes in `record`, and the events it tells of it."""

    record: Record
    now: datetime
    changes: dict[str, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def add(self, type: EventType, **data: Any) -> None:
        self.add_raw(type, RawJson(codec.dumps({k: _plain(v) for k, v in data.items()}).decode()))

    def add_raw(self, type: EventType, data: RawJson) -> None:
        seq = self.record.seq + len(self.events) + 1
        attempt = self.changes.get("attempt", self.record.attempt)
        self.events.append(Event(self.record.id, seq, attempt, type, self.now, data))

    def move(self, **changes: Any) -> None:
        self.changes.update(changes)

    def end(self, status: Status, rules: Rules, **changes: Any) -> None:
        self.move(
            status=status,
            finished_at=self.now,
            retained_until=_due(self.now, rules.retention),
            not_before=None,
            **_NO_LEASE,
            **changes,
        )

    def change(self, result: RawJson | None = None, checkpoint: RawJson | None = None) -> Change:
        record = evolve(self.record, seq=self.record.seq + len(self.events), **self.changes)
        return Change(record, tuple(self.events), result, checkpoint)


_NO_LEASE: dict[str, Any] = {"token": None, "worker_id": None, "claim_id": None, "claim_beat": 0}


def _plain(value: Any) -> Any:
    return format_time(value) if isinstance(value, datetime) else value


def _refuse_report(record: Record, report: cmd.Report) -> Refusal | None:
    """The fence: attempt and token must be the current ones, the number the next one (I4, I5, I6)."""
    current = record.status.held and record.attempt == report.attempt and record.token == report.token
    if not current:
        return Refusal(record, Ruling.STALE, f"the attempt is over: the task is {record.status}")
    if report.number <= record.number:
        return Refusal(record, Ruling.RECORDED)
    if report.number > record.number + 1:
        return Refusal(record, Ruling.GAP, f"report {record.number + 1} is missing")
    return None


def _reported(
    decide: Callable[[Record, Any, datetime, Rules], Change],
) -> Callable[[Record, Any, datetime, Rules], Change | Refusal]:
    def decision(record: Record, report: cmd.Report, now: datetime, rules: Rules) -> Change | Refusal:
        refusal = _refuse_report(record, report)
        return refusal or decide(evolve(record, number=report.number), report, now, rules)

    return decision


def _progress(record: Record, report: ProgressReport, now: datetime, rules: Rules) -> Change:
    progress = RawJson(codec.dumps(report.progress.model_dump(mode="json")).decode())
    log = _Log(record, now)
    log.move(progress=progress)
    log.add_raw(EventType.PROGRESS, progress)
    return log.change()


def _output(record: Record, report: OutputReport, now: datetime, rules: Rules) -> Change:
    log = _Log(record, now)
    log.add(EventType.OUTPUT, delta=report.delta)
    return log.change()


def _logged(record: Record, report: LogReport, now: datetime, rules: Rules) -> Change:
    log = _Log(record, now)
    log.add(EventType.LOG, level=report.level, message=report.message, fields=report.fields)
    return log.change()


def _checkpoint(record: Record, report: CheckpointReport, now: datetime, rules: Rules) -> Change:
    saved = RawJson(codec.dumps(report.checkpoint).decode())
    return Change(evolve(record, keep_through=record.seq), checkpoint=saved)


def _succeeded(record: Record, report: SucceededReport, now: datetime, rules: Rules) -> Change:
    result = RawJson(codec.dumps(report.result).decode())
    log = _Log(record, now)
    log.end(Status.SUCCEEDED, rules, error=None)
    log.add_raw(EventType.SUCCEEDED, RawJson(f'{{"result":{result}}}'))
    return log.change(result=result)


def _failed(record: Record, report: FailedReport, now: datetime, rules: Rules) -> Change:
    if record.status is Status.CANCELLING:
        return _cancelled(record, now, rules, confirmed=True)
    return _fail(record, report.failure, report.retry_after, now, rules)


def _stopped(record: Record, report: StoppedReport, now: datetime, rules: Rules) -> Change:
    if record.status is Status.CANCELLING:
        return _cancelled(record, now, rules, confirmed=True)
    return _hand_back(record, now)


def _handed_back(record: Record, report: HandedBackReport, now: datetime, rules: Rules) -> Change:
    if record.status is Status.CANCELLING:
        return _cancelled(record, now, rules, confirmed=True)
    return _hand_back(record, now)


def _fail(
    record: Record, failure: Failure, retry_after: timedelta | None, now: datetime, rules: Rules, lost: int = 0
) -> Change:
    failures, losses = record.failures + 1, record.losses + lost
    failure = failure.model_copy(update={"attempt": record.attempt})
    spent = failures >= record.max_attempts
    if failure.retryable and not spent:
        wait = backoff(record.retry_base, record.retry_cap, failures, rules.draw) if retry_after is None else retry_after
        record = evolve(record, failures=failures, losses=losses, error=_raw(failure))
        return _retry(record, now, _due(now, wait), failure)
    if spent and losses == failures:
        failure = _dead_lettered(failure, failures)
    log = _Log(record, now)
    log.end(Status.FAILED, rules, failures=failures, losses=losses, error=_raw(failure))
    log.add(EventType.FAILED, error=failure.model_dump(mode="json"))
    return log.change()


def _dead_lettered(failure: Failure, failures: int) -> Failure:
    return failure.model_copy(
        update={
            "code": FailureCode.DEAD_LETTERED,
            "title": "Every worker that ran the task died",
            "detail": f"{failures} of {failures} attempts ended with the loss of their worker; the last: {failure.detail}",
            "retryable": False,
        }
    )


def _retry(record: Record, now: datetime, due: datetime, failure: Failure | None) -> Change:
    log = _Log(record, now)
    log.move(status=Status.RETRYING, not_before=due, **_NO_LEASE)
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


def _hand_back(record: Record, now: datetime) -> Change:
    return _retry(record, now, now, None)


def _cancelled(record: Record, now: datetime, rules: Rules, *, confirmed: bool) -> Change:
    outcome = "confirmed" if confirmed else "unconfirmed"
    log = _Log(record, now)
    log.end(Status.CANCELLED, rules, cancel_outcome=outcome)
    log.add(EventType.CANCELLED, reason=record.cancel_reason, outcome=outcome)
    return log.change()


def _cancel(record: Record, command: cmd.Cancel, now: datetime, rules: Rules) -> Change | Refusal:
    asked = evolve(record, cancel_requested_at=now, cancel_reason=command.reason, cancel_outcome=None)
    if target(record.status, Trigger.CANCEL):
        return _cancelled(asked, now, rules, confirmed=True)
    if target(record.status, Trigger.ASK):
        grace = record.grace if command.grace is None else command.grace
        log = _Log(asked, now)
        log.move(status=Status.CANCELLING, not_before=_due(now, grace))
        log.add(EventType.CANCELLING, reason=command.reason, grace=grace.total_seconds())
        return log.change()
    return Refusal(record, Ruling.STALE)


def _rerun(record: Record, command: cmd.Rerun, now: datetime, rules: Rules) -> Change | Refusal:
    if target(record.status, Trigger.RERUN) is None:
        return Refusal(record, Ruling.STALE)
    log = _Log(record, now)
    log.move(
        status=Status.QUEUED,
        failures=0,
        losses=0,
        error=None,
        progress=None,
        not_before=None,
        finished_at=None,
        expires_at=None,
        retained_until=None,
        cancel_requested_at=None,
        cancel_reason=None,
        cancel_outcome=None,
    )
    log.add(EventType.QUEUED)
    return log.change()


def _release(record: Record, command: cmd.Release, now: datetime, rules: Rules) -> Change | Refusal:
    if target(record.status, Trigger.DUE) is None or (record.not_before or now) > now:
        return Refusal(record, Ruling.STALE)
    log = _Log(record, now)
    log.move(status=Status.QUEUED, not_before=None)
    log.add(EventType.QUEUED)
    return log.change()


def _expire(record: Record, command: cmd.Expire, now: datetime, rules: Rules) -> Change | Refusal:
    if target(record.status, Trigger.EXPIRE) is None or not _deadline_passed(record, now):
        return Refusal(record, Ruling.STALE)
    failure = Failure(
        code=FailureCode.EXPIRED,
        title="The task expired",
        detail="No worker started it before its deadline.",
    )
    log = _Log(record, now)
    log.end(Status.EXPIRED, rules, error=_raw(failure))
    log.add(EventType.EXPIRED, error=failure.model_dump(mode="json"))
    return log.change()


def _give_up(record: Record, command: cmd.GiveUp, now: datetime, rules: Rules) -> Change | Refusal:
    if target(record.status, Trigger.GIVE_UP) is None or (record.not_before or now) > now:
        return Refusal(record, Ruling.STALE)
    return _cancelled(record, now, rules, confirmed=False)


def _lose(record: Record, command: cmd.Lose, now: datetime, rules: Rules) -> Change | Refusal:
    """That the lease has really lapsed is the store's to check: it alone knows when the worker was last heard."""
    if not record.status.held or record.attempt != command.attempt:
        return Refusal(record, Ruling.STALE)
    if record.status is Status.CANCELLING:
        return _cancelled(record, now, rules, confirmed=False)
    failure = Failure(
        code=FailureCode.LOST,
        title="The worker was lost",
        detail=f"Worker {record.worker_id} was silent for longer than its lease.",
        retryable=True,
    )
    return _fail(record, failure, timedelta(0), now, rules, lost=1)


def _take_back(record: Record, command: cmd.TakeBack, now: datetime, rules: Rules) -> Change | Refusal:
    if not record.status.held or record.attempt != command.attempt:
        return Refusal(record, Ruling.STALE)
    if record.status is Status.CANCELLING:
        return _cancelled(record, now, rules, confirmed=True)
    return _hand_back(record, now)


def _raw(failure: Failure) -> RawJson:
    return RawJson(failure.model_dump_json())


_DECISIONS: dict[type, Callable[[Record, Any, datetime, Rules], Change | Refusal]] = {
    ProgressReport: _reported(_progress),
    OutputReport: _reported(_output),
    LogReport: _reported(_logged),
    CheckpointReport: _reported(_checkpoint),
    SucceededReport: _reported(_succeeded),
    FailedReport: _reported(_failed),
    StoppedReport: _reported(_stopped),
    HandedBackReport: _reported(_handed_back),
    cmd.Cancel: _cancel,
    cmd.Rerun: _rerun,
    cmd.Release: _release,
    cmd.Expire: _expire,
    cmd.GiveUp: _give_up,
    cmd.Lose: _lose,
    cmd.TakeBack: _take_back,
}
