"""The outbox: what a commit owes the broker is owed until it is settled."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from backhaul.core.ports.dispatch import Dispatch
from backhaul.core.task.commands import Cancel, Command
from backhaul.store import SqlStore
from backhaul_contracts.reports import OutputReport, ProgressReport
from backhaul_contracts.tasks import Progress
from tests.conformance.store.given import (
    accepted,
    advanced,
    claim,
    claimed,
    current,
    draft,
    failed,
    granted,
    of,
    records,
    started,
    succeeded,
)

NOW = timedelta(0)


def durable(dispatch: Dispatch) -> Dispatch:
    """What is left of a dispatch in the outbox: stream-only events live on the live path alone."""
    public = tuple(happening for happening in dispatch.happenings if happening.event.type.public)
    return replace(dispatch, happenings=public)


async def test_what_is_owed_reads_as_it_was_dispatched(store: SqlStore) -> None:
    _, accepted_ = await store.accept([draft(), draft(key="k")])
    await store.settle([str(accepted_.outbox_id)])

    _, started = await claimed(store, [claim(2)])

    assert await store.owed(NOW, 10) == [started]


async def test_what_is_owed_tells_of_the_task_as_it_is_now(store: SqlStore) -> None:
    wanted = draft()
    _, accepted_ = await store.accept([wanted])
    done = await advanced(store, Cancel(wanted.record.id))

    first, second = await store.owed(NOW, 10)

    assert first.tokens == accepted_.tokens
    assert [happening.event for happening in first.happenings] == [one.event for one in accepted_.happenings]
    assert {happening.record for happening in (*first.happenings, *second.happenings)} == {done}


async def test_a_result_that_is_owed_is_whole(store: SqlStore) -> None:
    (record,) = await started(store)
    _, dispatch = await store.advance([succeeded(record, result={"text": "done"})])

    owed = await store.owed(NOW, 10)

    assert owed[-1] == dispatch
    assert owed[-1].happenings[-1].event.data == '{"result":{"text":"done"}}'


async def test_only_public_events_are_owed(store: SqlStore) -> None:
    (record,) = await started(store)
    reports: list[Command] = [
        OutputReport(**of(record, 1), delta="a"),
        ProgressReport(**of(record, 2), progress=Progress(done=1)),
        failed(record, 3, retry_after=timedelta(0)),
    ]
    _, dispatch = await store.advance(reports)

    owed = await store.owed(NOW, 10)

    assert len(dispatch.happenings) == 4
    assert [one.event for one in owed[-1].happenings] == [one.event for one in durable(dispatch).happenings]
    assert owed[-1].tokens == dispatch.tokens


async def test_what_is_settled_is_owed_no_longer(store: SqlStore) -> None:
    dispatches = [(await store.accept([draft()]))[1] for _ in range(3)]

    await store.settle([str(dispatches[0].outbox_id), str(dispatches[2].outbox_id)])

    assert await store.owed(NOW, 10) == [dispatches[1]]


async def test_settling_twice_harms_nothing(store: SqlStore) -> None:
    _, first = await store.accept([draft()])
    await store.settle([str(first.outbox_id)])
    _, second = await store.accept([draft()])

    await store.settle([str(first.outbox_id)])

    assert await store.owed(NOW, 10) == [second]


async def test_what_is_owed_comes_in_the_order_of_its_commit(store: SqlStore) -> None:
    (record,) = await started(store)
    await advanced(store, failed(record, retry_after=timedelta(0)))
    await advanced(store, Cancel(record.id))

    owed = await store.owed(NOW, 10)

    seqs = [happening.event.seq for dispatch in owed for happening in dispatch.happenings]
    assert seqs == list(range(1, 7))


async def test_what_is_young_is_left_to_the_relay(store: SqlStore) -> None:
    await store.accept([draft()])

    assert await store.owed(timedelta(minutes=1), 10) == []


async def test_no_more_is_handed_out_than_asked_for_oldest_first(store: SqlStore) -> None:
    dispatches = [(await store.accept([draft()]))[1] for _ in range(4)]

    assert await store.owed(NOW, 3) == dispatches[:3]
    assert await store.owed(NOW, 3) == dispatches[3:]


async def test_two_sweepers_never_get_the_same_debt(store: SqlStore, other: SqlStore) -> None:
    for _ in range(20):
        await store.accept([draft()])

    found = await asyncio.gather(*((store, other)[n % 2].owed(NOW, 4) for n in range(10)))

    outbox_ids = [dispatch.outbox_id for dispatches in found for dispatch in dispatches]
    assert len(outbox_ids) == len(set(outbox_ids)) == 20


async def test_a_deleted_task_leaves_no_debt_that_cannot_be_paid(store: SqlStore) -> None:
    wanted = draft()
    await store.accept([wanted])
    await advanced(store, Cancel(wanted.record.id))
    await store.forget("default", wanted.record.id)

    owed = await store.owed(NOW, 10)
    await store.settle([str(dispatch.outbox_id) for dispatch in owed])

    assert [dispatch.happenings for dispatch in owed] == [(), ()]
    assert await store.owed(NOW, 10) == []


async def test_a_dispatch_tells_each_event_with_the_record_it_left(store: SqlStore) -> None:
    await accepted(store, draft())
    (running,) = records(await granted(store, claim()))

    _, dispatch = await store.advance([OutputReport(**of(running, 1), delta="a"), succeeded(running, 2)])

    first, last = dispatch.happenings
    assert (first.record.number, first.record.seq) == (1, 4)
    assert last.record == (await current(store, running.id)).record


async def test_no_more_is_handed_out_than_memory_bears(store: SqlStore) -> None:
    held = await started(store, 5)
    for record in held:
        await advanced(store, succeeded(record, result="x" * 12 * 2**20))

    found = []
    while owed := await store.owed(NOW, 10):
        found.append(sum(len(one.event.data) for dispatch in owed for one in dispatch.happenings) // 2**20)

    assert found == [24, 24, 12]
