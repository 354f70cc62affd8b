"""Listing: pages of tasks, newest first, by every condition a client may set."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backhaul.core.ports.store import Listed, TaskQuery
from backhaul.core.task.commands import Cancel
from backhaul.core.task.record import RawJson, Record
from backhaul.store import SqlStore, listing
from backhaul_contracts import codec
from backhaul_contracts.events import LARGEST_PAGE
from backhaul_contracts.ids import new_task_id
from backhaul_contracts.tasks import Status
from tests.conformance.store.given import (
    FUTURE,
    PAST,
    accepted,
    advanced,
    claim,
    draft,
    granted,
    ids,
    records,
    succeeded,
)

PARENT = new_task_id()


def labelled(**metadata: str) -> RawJson:
    return RawJson(codec.dumps(metadata).decode())


@pytest.fixture
async def tasks(store: SqlStore) -> list[Record]:
    """Six tasks, of which the last two belong to another tenant."""
    drafts = [
        draft(key="first", metadata=labelled(colour="blue", size="s")),
        draft(kind="test.other", parent_id=PARENT),
        draft(queue="slow", scheduled_for=FUTURE, metadata=labelled(colour="blue", size="l")),
        draft(kind="test.other", queue="slow", metadata=labelled(colour="red")),
        draft(tenant="theirs", key="first", metadata=labelled(colour="blue")),
        draft(tenant="theirs", kind="test.other", queue="slow", parent_id=PARENT),
    ]
    records = await accepted(store, *drafts)
    await advanced(store, Cancel(records[3].id))
    return records


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, [3, 2, 1, 0]),
        ({"statuses": (Status.QUEUED,)}, [1, 0]),
        ({"statuses": (Status.CANCELLED, Status.SCHEDULED, Status.RUNNING)}, [3, 2]),
        ({"statuses": (Status.QUEUED, Status.QUEUED)}, [1, 0]),
        ({"kind": "test.other"}, [3, 1]),
        ({"queue": "slow"}, [3, 2]),
        ({"key": "first"}, [0]),
        ({"key": "unknown"}, []),
        ({"parent_id": PARENT}, [1]),
        ({"metadata": {"colour": "blue"}}, [2, 0]),
        ({"metadata": {"colour": "blue", "size": "l"}}, [2]),
        ({"metadata": {"colour": "green"}}, []),
        ({"kind": "test.other", "queue": "slow"}, [3]),
        ({"kind": "test.other", "statuses": (Status.QUEUED,)}, [1]),
        ({"metadata": {"colour": "blue"}, "statuses": (Status.QUEUED, Status.SCHEDULED), "queue": "slow"}, [2]),
        ({"created_after": PAST, "created_before": FUTURE}, [3, 2, 1, 0]),
        ({"created_after": FUTURE}, []),
        ({"created_before": PAST}, []),
        ({"tenant": "theirs"}, [5, 4]),
        ({"tenant": "theirs", "metadata": {"colour": "blue"}}, [4]),
        ({"tenant": "nobody"}, []),
        ({"limit": 2}, [3, 2]),
    ],
)
async def test_all_conditions_hold_of_what_is_listed(
    store: SqlStore, tasks: list[Record], conditions: dict[str, Any], expected: list[int]
) -> None:
    query = TaskQuery(**{"tenant": "default", **conditions})

    found = (await store.find(query)).tasks

    assert ids(found) == [tasks[n].id for n in expected]


async def test_a_range_of_creation_begins_with_its_first_moment_and_ends_before_its_last(
    store: SqlStore, tasks: list[Record]
) -> None:
    query = TaskQuery("default", created_after=tasks[1].created_at, created_before=tasks[3].created_at)

    found = (await store.find(query)).tasks

    assert ids(found) == [tasks[2].id, tasks[1].id]


async def test_what_is_listed_is_whole_and_as_it_is_now(store: SqlStore) -> None:
    await accepted(store, draft(input='{"n":1}'))
    answer = await granted(store, claim())

    found = (await store.find(TaskQuery("default"))).tasks

    assert found == list(answer.snapshots)


@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"kind": "test.echo"},
        {"queue": "test"},
        {"parent_id": PARENT},
        {"statuses": (Status.QUEUED, Status.CANCELLED)},
        {"metadata": {"colour": "blue"}},
    ],
)
async def test_pages_join_without_a_gap_or_a_repeat_while_tasks_are_added(
    store: SqlStore, conditions: dict[str, Any]
) -> None:
    def fresh() -> Any:
        return draft(parent_id=PARENT, metadata=labelled(colour="blue"))

    tasks = await accepted(store, *(fresh() for _ in range(10)))
    await store.advance([Cancel(record.id) for record in tasks[::2]])
    query = TaskQuery("default", limit=4, **conditions)

    pages = []
    for _ in range(4):
        page = ids((await store.find(query)).tasks)
        pages.append(page)
        await accepted(store, fresh())
        query = replace(query, before=page[-1] if page else query.before)

    assert [len(page) for page in pages] == [4, 4, 2, 0]
    assert [task_id for page in pages for task_id in page] == [record.id for record in reversed(tasks)]


async def test_a_page_is_bounded_in_bytes_and_never_empty(store: SqlStore) -> None:
    half = "x" * (LARGEST_PAGE // 2)
    large = f'"{half}"'
    tasks = await accepted(
        store, draft(), draft(input=large, priority=1), draft(input=large), draft(input=large), draft()
    )
    (most_urgent,) = records(await granted(store, claim()))
    await advanced(store, succeeded(most_urgent, result=half))
    query = TaskQuery("default", limit=100)

    found = await store.find(query)
    pages = [ids(found.tasks)]
    while found.before is not None:
        found = await store.find(replace(query, before=found.before))
        pages.append(ids(found.tasks))

    assert pages == [[tasks[n].id for n in page] for page in ([4, 3, 2], [1], [0])]


async def test_a_page_whose_tasks_are_all_deleted_while_it_is_read_leads_to_the_next(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = await accepted(store, draft(), draft())
    query = TaskQuery("default", limit=1)

    with monkeypatch.context() as patch:
        patch.setattr(listing, "snapshots", lambda _connection, _task_ids: [])
        page = await store.find(query)
    following = await store.find(replace(query, before=page.before))

    assert page == Listed([], before=newer.id)
    assert ids(following.tasks) == [older.id]
    assert following.before is None


async def test_a_long_value_is_found_by_all_of_it(store: SqlStore) -> None:
    long = "😀" * 1_000
    (record,) = await accepted(store, draft(metadata=labelled(text=long)))

    found = (await store.find(TaskQuery("default", metadata={"text": long}))).tasks
    nearly = (await store.find(TaskQuery("default", metadata={"text": long[:-1]}))).tasks

    assert ids(found) == [record.id]
    assert nearly == []


async def test_a_moment_before_all_time_lists_nothing_older(store: SqlStore, tasks: list[Record]) -> None:
    ancient = PAST - timedelta(days=365 * 1_900)

    assert (await store.find(TaskQuery("default", created_before=ancient))).tasks == []
    assert len((await store.find(TaskQuery("default", created_after=ancient))).tasks) == 4
