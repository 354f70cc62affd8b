"""Deciding: a record and a command in, what becomes of the record out. Pure: time and chance are handed in.

The table in `lifecycle` says which moves exist; here, in `reporting` and in `endings` stands what they do to the record
and what they tell the world. Whatever no rule allows is a `Refusal`, which leaves the record as it was.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from backhaul.core.messages.replies import noted
from backhaul.core.task import commands as cmd
from backhaul.core.task.changes import Change, Log, Refusal, Rules, after
from backhaul.core.task.endings import cancelled, expired, fail, hand_back
from backhaul.core.task.lifecycle import Trigger, target
from backhaul.core.task.record import Draft, Record, evolve
from backhaul.core.task.reporting import record_report
from backhaul_contracts.events import EventType
from backhaul_contracts.failures import Failure, FailureCode
from backhaul_contracts.ids import LeaseToken, WorkerId
from backhaul_contracts.reports import Ruling
from backhaul_contracts.tasks import Status

__all__ = ["Change", "Lease", "Refusal", "Rules", "accept", "advance", "claim"]


@dataclass(frozen=True, slots=True)
class Lease:
    """What a claim binds an attempt to."""

    worker_id: WorkerId
    claim_id: str
    claim_beat: int
    token: LeaseToken


def accept(draft: Draft) -> Change:
    """The first transition: a new task is queued, or scheduled if it has a time to wait for."""
    log = Log(draft.record, draft.record.created_at)
    log.add(EventType.ACCEPTED)
    if draft.record.status is Status.SCHEDULED:
        log.add(EventType.SCHEDULED, scheduled_for=draft.record.scheduled_for)
    else:
        log.add(EventType.QUEUED)
    return log.change()


def claim(record: Record, lease: Lease, now: datetime) -> Change | Refusal:
    """A worker gets the task: the next attempt starts under a fresh token."""
    if target(record.status, Trigger.CLAIM) is None or _deadline_passed(record, now):
        return Refusal(record, Ruling.STALE)
    log = Log(record, now)
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
    decide = _DECISIONS.get(type(command), record_report)
    return decide(record, command, now, rules)


def _deadline_passed(record: Record, now: datetime) -> bool:
    return record.attempt == 0 and record.expires_at is not None and record.expires_at <= now


def _cancel(record: Record, command: cmd.Cancel, now: datetime, rules: Rules) -> Change | Refusal:
    asked = evolve(record, cancel_requested_at=now, cancel_reason=command.reason, cancel_outcome=None)
    if target(record.status, Trigger.CANCEL):
        return cancelled(asked, now, rules, confirmed=True)
    if target(record.status, Trigger.ASK):
        grace = record.grace if command.grace is None else command.grace
        log = Log(asked, now)
        log.move(status=Status.CANCELLING, not_before=after(now, grace + rules.notice))
        log.add(EventType.CANCELLING, reason=command.reason, grace=grace.total_seconds())
        return log.change()
    return _hurry(record, command, now, rules)


def _hurry(record: Record, command: cmd.Cancel, now: datetime, rules: Rules) -> Change | Refusal:
    """A repeated cancel changes nothing but the end of the grace, and that only to an earlier one."""
    if target(record.status, Trigger.HURRY) and command.grace is not None and record.not_before is not None:
        sooner = after(now, command.grace + rules.notice)
        if sooner < record.not_before:
            return Change(evolve(record, not_before=sooner))
    return Refusal(record, Ruling.STALE)


def _rerun(record: Record, command: cmd.Rerun, now: datetime, rules: Rules) -> Change | Refusal:
    if target(record.status, Trigger.RERUN) is None:
        return Refusal(record, Ruling.STALE)
    log = Log(record, now)
    due = _due_again(record, now, rules)
    if due > now and target(record.status, Trigger.RERUN_LATER):
        log.move(status=Status.SCHEDULED, **{**_A_NEW_RUN, "not_before": due})
        log.add(EventType.SCHEDULED, scheduled_for=due)
    else:
        log.move(status=Status.QUEUED, **_A_NEW_RUN)
        log.add(EventType.QUEUED)
    return log.change()


def _join(record: Record, command: cmd.Join, now: datetime, rules: Rules) -> Change | Refusal:
    """One more who waits for the task. Whoever joins one that is done is answered with its outcome at once.

    A caller starts a new run once in an attempt: when it asks again, the run is its own. While the last one is still
    being cancelled it has to ask later.
    """
    called_before = command.attempt <= record.called_in
    if record.status is Status.CANCELLING and not called_before:
        return Refusal(record, Ruling.STALE, "the task is still being cancelled")
    if record.status.done and (called_before or not target(record.status, Trigger.RERUN)):
        return Refusal(record, Ruling.RECORDED)
    replies = record.replies if command.reply is None else noted(record.replies, command.reply)
    joined = evolve(record, replies=replies, called_in=max(record.called_in, command.attempt))
    if joined == record:
        return Refusal(record, Ruling.RECORDED)
    return _rerun(joined, cmd.Rerun(record.id), now, rules) if record.status.done else Change(joined)


def _due_again(record: Record, now: datetime, rules: Rules) -> datetime:
    """Not before the time that the task was submitted for, nor before the end of the lease of an attempt that nobody
    knows to have stopped."""
    due = record.scheduled_for or now
    if record.cancel_outcome == "unconfirmed" and record.finished_at is not None:
        due = max(due, after(record.finished_at, rules.lease))
    return due


_A_NEW_RUN: dict[str, Any] = {
    "failures": 0,
    "losses": 0,
    "error": None,
    "progress": None,
    "not_before": None,
    "finished_at": None,
    "expires_at": None,
    "retained_until": None,
    "cancel_requested_at": None,
    "cancel_reason": None,
    "cancel_outcome": None,
}


def _release(record: Record, command: cmd.Release, now: datetime, rules: Rules) -> Change | Refusal:
    if target(record.status, Trigger.DUE) is None or (record.not_before or now) > now:
        return Refusal(record, Ruling.STALE)
    log = Log(record, now)
    log.move(status=Status.QUEUED, not_before=None)
    log.add(EventType.QUEUED)
    return log.change()


def _expire(record: Record, command: cmd.Expire, now: datetime, rules: Rules) -> Change | Refusal:
    if target(record.status, Trigger.EXPIRE) is None or not _deadline_passed(record, now):
        return Refusal(record, Ruling.STALE)
    return expired(record, now, rules)


def _give_up(record: Record, command: cmd.GiveUp, now: datetime, rules: Rules) -> Change | Refusal:
    if target(record.status, Trigger.GIVE_UP) is None or (record.not_before or now) > now:
        return Refusal(record, Ruling.STALE)
    return cancelled(record, now, rules, confirmed=False)


def _lose(record: Record, command: cmd.Lose, now: datetime, rules: Rules) -> Change | Refusal:
    """That the lease has really lapsed is the store's to check: it alone knows when the worker was last heard."""
    if not record.status.held or record.attempt != command.attempt:
        return Refusal(record, Ruling.STALE)
    if record.status is Status.CANCELLING:
        return cancelled(record, now, rules, confirmed=False)
    failure = Failure(
        code=FailureCode.LOST,
        title="The worker was lost",
        detail=f"Worker {record.worker_id} was silent for longer than its lease.",
        retryable=True,
    )
    return fail(record, failure, _wait_after_loss(record, rules), now, rules, lost=True)


def _wait_after_loss(record: Record, rules: Rules) -> timedelta:
    """The first loss of a run is made good at once.

    From the second on, chance spreads the attempts that a worker took down with it over the length of a lease: so the
    one that kills its workers parts from those that only ran beside it, and does not take them with it to the end.
    """
    return rules.lease * rules.draw() if record.losses else timedelta(0)


def _take_back(record: Record, command: cmd.TakeBack, now: datetime, rules: Rules) -> Change | Refusal:
    if not record.status.held or record.attempt != command.attempt:
        return Refusal(record, Ruling.STALE)
    return hand_back(record, now, rules)


_DECISIONS: dict[type, Callable[[Record, Any, datetime, Rules], Change | Refusal]] = {
    cmd.Cancel: _cancel,
    cmd.Rerun: _rerun,
    cmd.Join: _join,
    cmd.Release: _release,
    cmd.Expire: _expire,
    cmd.GiveUp: _give_up,
    cmd.Lose: _lose,
    cmd.TakeBack: _take_back,
}
