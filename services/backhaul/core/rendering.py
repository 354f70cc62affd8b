"""Records as the JSON of the HTTP API. Payloads are spliced in as they are stored: always the same bytes."""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from backhaul.core.task.record import Record, Snapshot
from backhaul_contracts import codec
from backhaul_contracts.events import GAP, SNAPSHOT
from backhaul_contracts.tasks import Status
from backhaul_contracts.wire import format_time


def task_path(task_id: str) -> str:
    return f"/v1/tasks/{task_id}"


class TaskParts(NamedTuple):
    """The JSON of a task around its payloads: `head`, the input, `middle`, the result or null, `tail`."""

    head: str
    middle: str
    tail: str


def task_json(snapshot: Snapshot, token: str | None = None) -> str:
    """The task as `backhaul_contracts.tasks.Task` describes it. `token`: what its stream is opened with, without a key;
    of letters, digits, `-` and `_`."""
    head, middle, tail = task_parts(snapshot.record, token)
    return f"{head}{snapshot.input}{middle}{snapshot.result or 'null'}{tail}"


def task_parts(record: Record, token: str | None = None) -> TaskParts:
    """What `task_json` says beside the payloads, for whoever has these elsewhere."""
    head = (
        f'{{"id":"{record.id}","kind":{json_name(record.kind)},"status":"{record.status}",'
        f'"done":{"true" if record.status.done else "false"},'
        f'"attempt":{record.attempt},"max_attempts":{record.max_attempts},"seq":{record.seq},'
        f'"progress":{record.progress or "null"},"input":'
    )
    tail = (
        f',"error":{record.error or "null"},'
        f'"tenant":{json_name(record.tenant)},"queue":{json_name(record.queue)},"priority":{record.priority},'
        f'"key":{json_text(record.key)},"metadata":{record.metadata},'
        f'"parent_id":{json_text(record.parent_id)},"replay_of":{json_text(record.replay_of)},'
        f"{_times(record)},"
        f'"cancel":{_cancel(record)},"links":{_links(record.id, token)}}}'
    )
    return TaskParts(head, ',"result":', tail)


def _times(record: Record) -> str:
    return (
        f'"created_at":{json_time(record.created_at)},"scheduled_for":{json_time(_scheduled_for(record))},'
        f'"started_at":{json_time(record.started_at)},"finished_at":{json_time(record.finished_at)},'
        f'"expires_at":{json_time(record.expires_at)},"retained_until":{json_time(record.retained_until)}'
    )


def _scheduled_for(record: Record) -> datetime | None:
    """A new run may be scheduled for another time than the task was submitted for."""
    return record.not_before if record.status is Status.SCHEDULED else record.scheduled_for


def _cancel(record: Record) -> str:
    if record.cancel_requested_at is None:
        return "null"
    return (
        f'{{"requested_at":{json_time(record.cancel_requested_at)},"reason":{json_text(record.cancel_reason)},'
        f'"outcome":{json_text(record.cancel_outcome)}}}'
    )


def _links(task_id: str, token: str | None) -> str:
    path, opened = task_path(task_id), "" if token is None else f"?token={token}"
    return (
        f'{{"self":"{path}","events":"{path}/events","result":"{path}/result",'
        f'"cancel":"{path}/cancel","stream":"{path}/events{opened}"}}'
    )


def page_json(items: Iterable[str], next_cursor: str | None) -> bytes:
    """The list form that every list of the API has."""
    return f'{{"data":[{",".join(items)}],"next_cursor":{json_text(next_cursor)}}}'.encode()


def snapshot_event_json(snapshot: Snapshot, at: datetime, token: str | None = None) -> str:
    """The event object that starts a stream without a cursor: `data` is the task."""
    return _task_event(SNAPSHOT, snapshot, at, token)


def gap_event_json(snapshot: Snapshot, at: datetime, token: str | None = None) -> str:
    """The event object that stands for events which are no longer kept: `data` is the task."""
    return _task_event(GAP, snapshot, at, token)


def _task_event(type: str, snapshot: Snapshot, at: datetime, token: str | None) -> str:
    record = snapshot.record
    return (
        f'{{"task_id":"{record.id}","seq":{record.seq},"attempt":{record.attempt},"type":"{type}",'
        f'"time":{json_time(at)},"data":{task_json(snapshot, token)}}}'
    )


def json_time(moment: datetime | None) -> str:
    """A moment, or null."""
    return "null" if moment is None else f'"{format_time(moment)}"'


def json_text(value: str | None) -> str:
    """A text, or null."""
    return "null" if value is None else codec.dumps(value).decode()


@lru_cache(maxsize=4096)
def json_name(value: str) -> str:
    """A text of which there are few: kinds, queues and tenants."""
    return json_text(value)
