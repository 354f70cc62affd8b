"""Reading: one task, its log, and how far tasks are."""

from backhaul.store import SqlStore
from backhaul_contracts.events import LARGEST_PAGE
from backhaul_contracts.ids import new_task_id
from backhaul_contracts.reports import OutputReport
from tests.conformance.store.given import accepted, current, draft, log, of, started


async def test_a_task_is_seen_by_its_tenant_alone(store: SqlStore) -> None:
    (record,) = await accepted(store, draft(tenant="ours"))

    ours = await store.snapshot("ours", record.id)
    theirs = await store.snapshot("theirs", record.id)

    assert ours is not None
    assert ours.record == record
    assert theirs is None


async def test_many_tasks_are_read_at_once_in_the_order_asked_for(store: SqlStore) -> None:
    first, second = await accepted(store, draft(tenant="ours"), draft(tenant="theirs"))

    found = await store.snapshots([second.id, new_task_id(), first.id])

    assert [snapshot.record for snapshot in found] == [second, first]
    assert await store.snapshots([]) == []


async def test_there_is_no_task_of_an_unknown_id(store: SqlStore) -> None:
    task_id = new_task_id()

    assert await store.snapshot("default", task_id) is None
    assert await store.events(task_id, 0, 10) == []


async def test_a_log_is_read_on_from_any_place(store: SqlStore) -> None:
    (record,) = await started(store)
    await store.advance([OutputReport(**of(record, number), delta=number) for number in range(1, 8)])

    whole = await log(store, record.id)
    parts = [event for after in (0, 4, 8) for event in await store.events(record.id, after, 4)]

    assert [event.seq for event in whole] == list(range(1, 11))
    assert parts == whole
    assert await store.events(record.id, 10, 4) == []


async def test_a_page_of_a_log_is_bounded_in_bytes_and_never_empty(store: SqlStore) -> None:
    (record,) = await started(store)
    large = "x" * (LARGEST_PAGE // 2)
    await store.advance([OutputReport(**of(record, number), delta=large) for number in range(1, 6)])

    pages = [[event.seq for event in await store.events(record.id, after, 100)] for after in (0, 3, 5, 7)]

    assert pages == [[1, 2, 3, 4, 5], [4, 5], [6, 7], [8]]


async def test_how_far_tasks_are_is_told_for_those_that_exist(store: SqlStore) -> None:
    (waiting,) = await accepted(store, draft(kind="test.other"))
    (running,) = await started(store)

    seqs = await store.seqs([running.id, new_task_id(), waiting.id])

    assert seqs == {running.id: 3, waiting.id: 2}
    assert await store.seqs([]) == {}


async def test_a_task_is_read_whole(store: SqlStore) -> None:
    (record,) = await accepted(store, draft(input='{"n":7}'))

    snapshot = await current(store, record.id)

    assert (snapshot.record, snapshot.input, snapshot.result, snapshot.checkpoint) == (record, '{"n":7}', None, None)
