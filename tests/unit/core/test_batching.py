import asyncio
from collections.abc import Sequence

import pytest

from backhaul.core.batching import Batcher, Inbox
from backhaul.core.errors import StoreUnavailable


class Flushes:
    """Records batches, and holds each until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.started = asyncio.Event()
        self.let_go = asyncio.Event()

    async def __call__(self, items: list[int]) -> Sequence[int]:
        self.batches.append(items)
        self.started.set()
        await self.let_go.wait()
        return [item * 10 for item in items]


async def test_what_arrives_while_a_flush_is_under_way_forms_the_next_one() -> None:
    flush = Flushes()
    batcher = Batcher(flush, limit=100)
    running = asyncio.create_task(batcher.run())

    first = asyncio.create_task(batcher.submit(1))
    await flush.started.wait()
    others = [asyncio.create_task(batcher.submit(n)) for n in (2, 3, 4)]
    await asyncio.sleep(0)
    flush.let_go.set()

    assert await first == 10
    assert await asyncio.gather(*others) == [20, 30, 40]
    assert flush.batches == [[1], [2, 3, 4]]
    running.cancel()


async def test_a_batch_is_no_larger_than_its_limit() -> None:
    flush = Flushes()
    flush.let_go.set()
    batcher = Batcher(flush, limit=2)
    callers = [asyncio.create_task(batcher.submit(n)) for n in range(5)]
    await asyncio.sleep(0)

    running = asyncio.create_task(batcher.run())

    assert await asyncio.gather(*callers) == [0, 10, 20, 30, 40]
    assert flush.batches == [[0, 1], [2, 3], [4]]
    running.cancel()


async def test_a_failed_flush_fails_each_caller_of_its_batch_and_no_other() -> None:
    async def flush(items: list[int]) -> Sequence[int]:
        if 1 in items:
            raise RuntimeError("the store is down")
        return items

    batcher = Batcher(flush, limit=1)
    running = asyncio.create_task(batcher.run())

    with pytest.raises(RuntimeError, match="the store is down"):
        await batcher.submit(1)

    assert await batcher.submit(2) == 2
    running.cancel()


async def test_a_bad_item_fails_its_own_caller_and_none_of_its_neighbours() -> None:
    async def flush(items: list[int]) -> Sequence[int]:
        if 2 in items:
            raise RuntimeError("2 cannot be stored")
        return items

    batcher = Batcher(flush, limit=10)
    callers = [asyncio.create_task(batcher.submit(n)) for n in (1, 2, 3)]
    await asyncio.sleep(0)

    running = asyncio.create_task(batcher.run())

    first, bad, last = await asyncio.gather(*callers, return_exceptions=True)
    assert (first, last) == (1, 3)
    assert isinstance(bad, RuntimeError)
    running.cancel()


async def test_ending_the_batcher_cancels_whoever_is_not_yet_flushed_by_itself() -> None:
    trying_alone = asyncio.Event()

    async def flush(items: list[int]) -> Sequence[int]:
        if len(items) > 1:
            raise RuntimeError("one of them cannot be stored")
        trying_alone.set()
        return await asyncio.Future()

    batcher = Batcher(flush, limit=10)
    callers = [asyncio.create_task(batcher.submit(n)) for n in (1, 2)]
    await asyncio.sleep(0)
    running = asyncio.create_task(batcher.run())
    await trying_alone.wait()

    running.cancel()

    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 2


async def test_an_outage_is_not_tried_again_for_each_item() -> None:
    flushed = []

    async def flush(items: list[int]) -> Sequence[int]:
        flushed.append(items)
        raise StoreUnavailable("the store is down")

    batcher = Batcher(flush, limit=10)
    callers = [asyncio.create_task(batcher.submit(n)) for n in (1, 2)]
    await asyncio.sleep(0)

    running = asyncio.create_task(batcher.run())

    assert [type(each) for each in await asyncio.gather(*callers, return_exceptions=True)] == [StoreUnavailable] * 2
    assert flushed == [[1, 2]]
    running.cancel()


async def test_ending_the_batcher_cancels_whoever_waits() -> None:
    flush = Flushes()
    batcher = Batcher(flush, limit=1)
    running = asyncio.create_task(batcher.run())
    under_way, waiting = asyncio.create_task(batcher.submit(1)), asyncio.create_task(batcher.submit(2))
    await flush.started.wait()

    running.cancel()

    outcomes = await asyncio.gather(under_way, waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 2


async def test_an_inbox_waits_for_the_first_item_and_then_gives_all_there_is() -> None:
    inbox: Inbox[int] = Inbox(limit=3)
    taking = asyncio.create_task(inbox.take())
    await asyncio.sleep(0)

    for n in range(5):
        inbox.put(n)

    assert await taking == [0, 1, 2]
    assert await inbox.take() == [3, 4]
