"""Between rows and records: which column holds which field, and how a row becomes a record.

Rows are read by position: at thousands of tasks a second, names are too dear.
"""

from collections.abc import Sequence
from datetime import timedelta
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Text

from backhaul.core.clock import from_ms
from backhaul.core.task.record import RECORD_FIELDS, Event, RawJson, Record, Snapshot, assemble, evolve
from backhaul.store.recordset import Recordset
from backhaul.store.schema import events, states, tasks
from backhaul.store.times import length
from backhaul_contracts.events import EventType
from backhaul_contracts.ids import TaskId
from backhaul_contracts.tasks import Status

Row = Sequence[Any]

TASK_IDS = Recordset("task_ids", task_id=Text)
"""The tasks that a statement is about."""

_LENGTHS = ("timeout", "grace", "retry_base", "retry_cap")
_MOMENTS = (
    "created_at",
    "scheduled_for",
    "not_before",
    "started_at",
    "finished_at",
    "expires_at",
    "retained_until",
    "cancel_requested_at",
)

_GIVEN_MOMENTS = ("created_at", "scheduled_for", "not_before", "expires_at")

_STATUSES = {str(status): status for status in Status}
_TYPES = {str(type_): type_ for type_ in EventType}
_WIDTH = len(RECORD_FIELDS)
_STATUS_AT = RECORD_FIELDS.index("status")
_LENGTHS_AT = tuple(RECORD_FIELDS.index(name) for name in _LENGTHS)
_MOMENTS_AT = tuple(RECORD_FIELDS.index(name) for name in _MOMENTS)
_given_lengths = attrgetter(*_LENGTHS)
_given_moments = attrgetter(*_GIVEN_MOMENTS)


def record_columns(standing: FromClause = states) -> list[ColumnElement[Any]]:
    """What `read_record` reads, from `tasks` and from `standing`: the table `states`, or locked rows of it."""
    return [_column(field, standing) for field in RECORD_FIELDS]


def snapshot_columns(standing: FromClause = states) -> list[ColumnElement[Any]]:
    """What `read_snapshot` reads."""
    return [*record_columns(standing), tasks.c.input, standing.c.result, standing.c.checkpoint]


EVENT_COLUMNS = (events.c.task_id, events.c.seq, events.c.attempt, events.c.type, events.c.time, events.c.data)


def _column(field: str, standing: FromClause) -> ColumnElement[Any]:
    name = f"{field}_ms" if field in _LENGTHS else field
    return standing.c[name] if name in standing.c else tasks.c[name]


def read_record(row: Row) -> Record:
    """The record in a row that begins with `record_columns`."""
    values = list(row[:_WIDTH])
    values[_STATUS_AT] = _STATUSES[values[_STATUS_AT]]
    for place in _LENGTHS_AT:
        values[place] = length(values[place])
    for place in _MOMENTS_AT:
        milliseconds = values[place]
        if milliseconds is not None:
            values[place] = from_ms(milliseconds)
    return assemble(values)


def read_snapshot(row: Row) -> Snapshot:
    """The snapshot in a row that begins with `snapshot_columns`."""
    return Snapshot(read_record(row), *row[_WIDTH : _WIDTH + 3])


def read_event(row: Row) -> Event:
    """The event in a row of `EVENT_COLUMNS`."""
    task_id, seq, attempt, type_, time, data = row
    return Event(TaskId(task_id), seq, attempt, _TYPES[type_], from_ms(time), RawJson(data))


def rounded(record: Record) -> Record:
    """A new task's record in whole milliseconds, rounded down: as it will be read again."""
    changes: dict[str, Any] = {}
    for name, length_ in zip(_LENGTHS, _given_lengths(record), strict=True):
        if excess := length_.microseconds % 1000:
            changes[name] = length_ - timedelta(microseconds=excess)
    for name, moment in zip(_GIVEN_MOMENTS, _given_moments(record), strict=True):
        if moment is not None and (excess := moment.microsecond % 1000):
            changes[name] = moment - timedelta(microseconds=excess)
    return evolve(record, **changes) if changes else record
