"""What is recorded: the fence, the end of a task, its numbers and its key."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any
from unittest.mock import patch

from backhaul.core.task import commands as cmd
from backhaul.core.task import reporting, transitions
from backhaul.core.task.changes import Change, Log
from backhaul.core.task.endings import cancelled
from backhaul.core.task.record import Record
from backhaul.core.task.transitions import Refusal, Rules
from backhaul.store import accepting
from backhaul_contracts.reports import Ruling
from tests.simulation.database import database
from tests.simulation.mutants.registry import mutant, together


@contextmanager
def _without_index() -> Iterator[None]:
    empty = database().empty
    empty.execute("DROP INDEX tasks_key")
    yield
    empty.execute("CREATE UNIQUE INDEX tasks_key ON tasks (tenant, key) WHERE key IS NOT NULL")


@mutant("I5", harm="isolate")
def reports_of_any_attempt_are_recorded() -> AbstractContextManager[Any]:
    def fence(record: Record, report: cmd.Report) -> Refusal | None:
        current = record.attempt == report.attempt and record.token == report.token
        return None if record.status.held and not current else real(record, report)

    real = reporting._fence
    return patch("backhaul.core.task.reporting._fence", fence)


@mutant("I6")
def reports_are_recorded_whatever_their_number() -> AbstractContextManager[Any]:
    def fence(record: Record, report: cmd.Report) -> Refusal | None:
        current = record.status.held and record.attempt == report.attempt and record.token == report.token
        return None if current else Refusal(record, Ruling.STALE)

    return patch("backhaul.core.task.reporting._fence", fence)


@mutant("I2", "I6")
def a_report_overwrites_the_end_of_its_task() -> AbstractContextManager[Any]:
    def fence(record: Record, report: cmd.Report) -> Refusal | None:
        if record.status.done and record.attempt == report.attempt:
            return None
        return real(record, report)

    real = reporting._fence
    return patch("backhaul.core.task.reporting._fence", fence)


@mutant("I2", "I8")
def a_cancel_overwrites_the_end_of_its_task() -> AbstractContextManager[Any]:
    real = transitions._DECISIONS[cmd.Cancel]

    def cancel(record: Record, command: cmd.Cancel, now: datetime, rules: Rules) -> Change | Refusal:
        if record.status.done:
            return cancelled(record, now, rules, confirmed=True)
        return real(record, command, now, rules)

    return patch.dict(transitions._DECISIONS, {cmd.Cancel: cancel})


@mutant("I7")
def a_number_is_left_out_of_the_log() -> AbstractContextManager[Any]:
    real = Log.add_raw

    def add_raw(log: Log, type: Any, data: Any) -> None:
        real(log, type, data)
        if type == "task.retrying":
            log.events[-1] = replace(log.events[-1], seq=log.events[-1].seq + 1)

    return patch.object(Log, "add_raw", add_raw)


@mutant("I12")
def a_key_makes_a_second_task() -> AbstractContextManager[Any]:
    def name(draft: Any) -> tuple[str, str, str]:
        return ("", "", draft.record.id)

    return together(
        _without_index(), patch.object(accepting, "_name", name), patch.object(accepting, "_BY_KEY", accepting._BY_ID)
    )
