"""Retention: ended tasks go as a whole, on request or when their time is over."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from backhaul.core.ports.store import TaskQuery
from backhaul.core.task.commands import Cancel, Rerun
from backhaul.core.task.record import RawJson
from backhaul.store import SqlStore
from backhaul_contracts.ids import new_task_id
from backhaul_contracts.tasks import Status
from tests.conformance.store.conftest import RULES, Place
from tests.conformance.store.given import accepted, advanced, current, draft, ids, log, started

BLUE = RawJson('{"colour":"blue"}')


@pytest.fixture
async def forgetful(place: Place, store: SqlStore) -> AsyncIterator[SqlStore]:
    """The same database under rules that keep nothing."""
    brief = place.open(replace(RULES, retention=timedelta(0)))
    await brief.start()
    yield brief
    await brief.stop()


async def test_a_done_task_is_deleted_with_all_that_was_kept_of_it(store: SqlStore) -> None:
    (record,) = await accepted(store, draft(metadata=BLUE))
    done = await advanced(store, Cancel(record.id))

    deleted = await store.forget("default", record.id)

    assert deleted == done
    assert await store.snapshot("default", record.id) is None
    assert await log(store, record.id) == []
    assert await store.seqs([record.id]) == {}
    assert (await store.find(TaskQuery("default", metadata={"colour": "blue"}))).tasks == []
    assert await store.forget("default", record.id) is None


async def test_a_task_that_is_not_done_is_shown_and_kept(store: SqlStore) -> None:
    (record,) = await started(store)

    shown = await store.forget("default", record.id)

    assert shown == record
    assert (await current(store, record.id)).record == record


async def test_nobody_deletes_the_task_of_another_tenant(store: SqlStore) -> None:
    (record,) = await accepted(store, draft())
    await advanced(store, Cancel(record.id))

    shown = await store.forget("theirs", record.id)

    assert shown is None
    assert (await current(store, record.id)).record.status is Status.CANCELLED


async def test_tasks_are_deleted_when_their_retention_is_over(store: SqlStore, forgetful: SqlStore) -> None:
    over, kept, running = await accepted(store, draft(metadata=BLUE), draft(metadata=BLUE), draft())
    await advanced(forgetful, Cancel(over.id))
    await advanced(store, Cancel(kept.id))

    count = await store.purge(10)

    assert count == 1
    assert ids((await store.find(TaskQuery("default"))).tasks) == [running.id, kept.id]
    assert ids((await store.find(TaskQuery("default", metadata={"colour": "blue"}))).tasks) == [kept.id]
    assert await log(store, over.id) == []


async def test_no_more_is_deleted_than_asked_for(store: SqlStore, forgetful: SqlStore) -> None:
    tasks = await accepted(store, *(draft() for _ in range(5)))
    await forgetful.advance([Cancel(record.id) for record in tasks])

    counts = [await store.purge(3) for _ in range(3)]

    assert counts == [3, 2, 0]


async def test_children_are_kept_until_their_parent_ends(store: SqlStore, forgetful: SqlStore) -> None:
    (parent,) = await accepted(store, draft())
    child, orphan = await accepted(store, draft(parent_id=parent.id), draft(parent_id=new_task_id()))
    await forgetful.advance([Cancel(child.id), Cancel(orphan.id)])

    while_it_works = await store.purge(10)
    await advanced(forgetful, Cancel(parent.id))
    afterwards = await store.purge(10)

    assert (while_it_works, afterwards) == (1, 2)


async def test_a_task_that_runs_again_is_kept_again(store: SqlStore, forgetful: SqlStore) -> None:
    (record,) = await accepted(store, draft())
    await advanced(forgetful, Cancel(record.id))
    await advanced(store, Rerun(record.id))

    assert await store.purge(10) == 0
