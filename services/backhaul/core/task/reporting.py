"""Deciding on the reports of a worker. Pure."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from backhaul.core.task import commands as cmd
from backhaul.core.task.changes import Change, Log, Refusal, Rules, raw
from backhaul.core.task.endings import cancelled, fail, hand_back
from backhaul.core.task.lifecycle import Trigger, target
from backhaul.core.task.record import RawJson, Record, evolve
from backhaul_contracts.events import EventType
from backhaul_contracts.failures import FailureCode
from backhaul_contracts.ids import TaskId
from backhaul_contracts.reports import (
    AbandonedReport,
    CheckpointReport,
    FailedReport,
    HandedBackReport,
    LogReport,
    OutputReport,
    ProgressReport,
    ResumedReport,
    Ruling,
    StoppedReport,
    SucceededReport,
    WaitingReport,
)
from backhaul_contracts.tasks import Status


def record_report(record: Record, report: cmd.Report, now: datetime, rules: Rules) -> Change | Refusal:
    """The record after a report, if it is the next one of the current attempt (I4, I5, I6)."""
    refusal = _fence(record, report) or _full(record, report, rules)
    return refusal or _DECISIONS[type(report)](evolve(record, number=report.number), report, now, rules)


def _fence(record: Record, report: cmd.Report) -> Refusal | None:
    current = record.status.held and record.attempt == report.attempt and record.token == report.token
    if not current:
        return Refusal(record, Ruling.STALE, f"the attempt is over: the task is {record.status}")
    if report.number <= record.number:
        return Refusal(record, Ruling.RECORDED)
    if report.number > record.number + 1:
        return Refusal(record, Ruling.GAP, f"report {record.number + 1} is missing")
    return None


def _full(record: Record, report: cmd.Report, rules: Rules) -> Refusal | None:
    if record.seq < rules.max_events or not isinstance(report, ProgressReport | OutputReport | LogReport):
        return None
    return Refusal(record, Ruling.REFUSED, f"the task has reached its limit of {rules.max_events} events")


def _progress(record: Record, report: ProgressReport, now: datetime, rules: Rules) -> Change:
    progress = raw(report.progress.model_dump(mode="json"))
    log = Log(record, now)
    log.move(progress=progress)
    log.add_raw(EventType.PROGRESS, progress)
    return log.change()


def _output(record: Record, report: OutputReport, now: datetime, rules: Rules) -> Change:
    log = Log(record, now)
    log.add(EventType.OUTPUT, delta=report.delta)
    return log.change()


def _log(record: Record, report: LogReport, now: datetime, rules: Rules) -> Change:
    log = Log(record, now)
    log.add(EventType.LOG, level=report.level, message=report.message, fields=report.fields)
    return log.change()


def _checkpoint(record: Record, report: CheckpointReport, now: datetime, rules: Rules) -> Change:
    return Change(evolve(record, keep_through=record.seq), checkpoint=raw(report.checkpoint))


def _waiting(record: Record, report: WaitingReport, now: datetime, rules: Rules) -> Change:
    """An attempt that has been asked to stop meanwhile goes on doing so."""
    if target(record.status, Trigger.CALL) is None:
        return Change(record)
    log = Log(record, now)
    log.move(status=Status.WAITING)
    log.add(EventType.WAITING, calls=[call.model_dump() for call in report.calls])
    return log.change()


def _resumed(record: Record, report: ResumedReport, now: datetime, rules: Rules) -> Change:
    """The events of the API have no name for it, and `task.started` tells of a new attempt: a line in the log."""
    if target(record.status, Trigger.RESUME) is None:
        return Change(record)
    log = Log(record, now)
    log.move(status=Status.RUNNING)
    log.add(EventType.LOG, level="debug", message="resumed", fields={"status": Status.RUNNING})
    return log.change()


def _abandoned(record: Record, report: AbandonedReport, now: datetime, rules: Rules) -> Change:
    return Change(record, abandoned=tuple(map(TaskId, report.calls)))


def _succeeded(record: Record, report: SucceededReport, now: datetime, rules: Rules) -> Change:
    result = raw(report.result)
    log = Log(record, now)
    log.end(Status.SUCCEEDED, rules, error=None)
    log.add_raw(EventType.SUCCEEDED, RawJson(f'{{"result":{result}}}'))
    return log.change(result=result)


def _failed(record: Record, report: FailedReport, now: datetime, rules: Rules) -> Change:
    if record.status is Status.CANCELLING:
        return cancelled(record, now, rules, confirmed=not report.still_running)
    lost = report.failure.code == FailureCode.LOST and report.failure.retryable  # a handler's own `Fail` is final
    return fail(record, report.failure, report.retry_after, now, rules, lost=lost)


def _ended(record: Record, report: StoppedReport | HandedBackReport, now: datetime, rules: Rules) -> Change:
    return hand_back(record, now, rules)


_DECISIONS: dict[type, Callable[[Record, Any, datetime, Rules], Change]] = {
    ProgressReport: _progress,
    OutputReport: _output,
    LogReport: _log,
    CheckpointReport: _checkpoint,
    WaitingReport: _waiting,
    ResumedReport: _resumed,
    AbandonedReport: _abandoned,
    SucceededReport: _succeeded,
    FailedReport: _failed,
    StoppedReport: _ended,
    HandedBackReport: _ended,
}
