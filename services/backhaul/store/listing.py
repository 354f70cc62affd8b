"""Listing: a page of tasks, newest first. First the ids, read along an index; then the tasks, as many as memory bears.

The id is the order of time, so a page goes on below the last id of the one before. What drives the search is the
narrowest that is asked for: metadata, else status, else what never changes of a task.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from heapq import merge
from itertools import accumulate, islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, Select, bindparam, func, select

from backhaul.core.clock import to_ms
from backhaul.core.ports.store import Listed, TaskQuery
from backhaul.store.functions import stored_size
from backhaul.store.metadata import value_hash
from backhaul.store.reading import snapshots
from backhaul.store.records import TASK_IDS
from backhaul.store.schema import states, status_in, task_metadata, tasks
from backhaul_contracts.events import LARGEST_PAGE
from backhaul_contracts.ids import TaskId, new_task_id
from backhaul_contracts.tasks import Status

_TIME_IN_ID = len("tsk_") + 10
_SLACK = timedelta(minutes=1)
"""An id may be made a little before or after the moment that its task calls its creation."""


SIZES = (
    select(tasks.c.id, stored_size(tasks.c.input) + func.coalesce(stored_size(states.c.result), 0))
    .join_from(TASK_IDS.table, tasks, tasks.c.id == TASK_IDS.c.task_id)
    .join(states, states.c.task_id == TASK_IDS.c.task_id)
)
"""How large the payloads of these tasks are that a list shows."""


def find(connection: Connection, query: TaskQuery) -> Listed:
    """See `Store.find`. `created_after` includes its moment, `created_before` does not, so that ranges join up."""
    one_more = replace(query, limit=query.limit + 1)
    pages = [connection.scalars(page(one_more, status)) for status in set(query.statuses) or (None,)]
    newest = [TaskId(task_id) for task_id in islice(merge(*pages, reverse=True), one_more.limit)]
    shown = _bearable(connection, newest[: query.limit])
    return Listed(snapshots(connection, shown), before=shown[-1] if len(shown) < len(newest) else None)


def _bearable(connection: Connection, task_ids: list[TaskId]) -> list[TaskId]:
    """The first of these, up to the one that makes a page of them large."""
    sizes = {row[0]: row[1] for row in connection.execute(SIZES, TASK_IDS.values(task_ids))}
    before = accumulate((sizes.get(task_id, 0) for task_id in task_ids), initial=0)
    return [task_id for task_id, size in zip(task_ids, before, strict=False) if size < LARGEST_PAGE]


def page(query: TaskQuery, status: Status | None) -> Select[Any]:
    """The ids of one page of the tasks with this status, or with any."""
    asked = list(_asked(query))
    tags = [task_metadata.alias(f"tag_{n}") for n, _ in enumerate(query.metadata)]
    tables = [*tags, *([] if status is None else [states]), *([tasks] if asked or status is None else [])]
    driving, *others = [table.c.id if table is tasks else table.c.task_id for table in tables]
    # How many are wanted, and of which status, stands in the statement itself: it decides which way is the shortest.
    most = bindparam("most", query.limit, Integer, literal_execute=True)
    statement = select(driving).order_by(driving.desc()).limit(most).where(*_within(query, driving))
    for column in others:
        statement = statement.join(column.table, column == driving)
    for tag, (name, value) in zip(tags, query.metadata.items(), strict=True):
        statement = statement.where(
            tag.c.tenant == query.tenant, tag.c.name == name, tag.c.value_hash == value_hash(value)
        )
    if status is not None:
        statement = statement.where(status_in(status))
    if not tags:  # behind metadata it would only lead astray, to an index of everything that the tenant has
        statement = statement.where(*(table.c.tenant == query.tenant for table in tables))
    return statement.where(*asked)


def _asked(query: TaskQuery) -> Iterator[ColumnElement[bool]]:
    for column, value in (
        (tasks.c.kind, query.kind),
        (tasks.c.queue, query.queue),
        (tasks.c.key, query.key),
        (tasks.c.parent_id, query.parent_id),
    ):
        if value is not None:
            yield column == value
    if query.created_after is not None:
        yield tasks.c.created_at >= to_ms(query.created_after)
    if query.created_before is not None:
        yield tasks.c.created_at < to_ms(query.created_before)


def _within(query: TaskQuery, task_id: ColumnElement[str]) -> Iterator[ColumnElement[bool]]:
    if query.before is not None:
        yield task_id < query.before
    if query.created_after is not None:
        yield task_id >= _made_at(query.created_after - _SLACK)
    if query.created_before is not None:
        yield task_id < _made_at(query.created_before + _SLACK)


def _made_at(moment: datetime) -> str:
    """What sorts before every id made at `moment` or later, and behind all others."""
    return new_task_id(max(0, to_ms(moment)))[:_TIME_IN_ID]
