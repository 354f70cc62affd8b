"""The detector of calls that block the event loop."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from blockbuster import BlockingError

from backhaul.core.batching import Batcher


async def flush(items: list[int]) -> list[int]:
    time.sleep(0.001)
    return items


@pytest.fixture
async def batcher() -> AsyncIterator[Batcher[int, int]]:
    batcher = Batcher(flush, limit=1)
    async with asyncio.TaskGroup() as group:
        loop = group.create_task(batcher.run())
        yield batcher
        loop.cancel()


async def test_a_call_that_blocks_under_our_code_raises(batcher: Batcher[int, int]) -> None:
    with pytest.raises(BlockingError, match=r"time\.sleep"):
        await batcher.submit(1)


@pytest.mark.usefixtures("blocking_allowed")
async def test_a_test_of_blocking_may_block(batcher: Batcher[int, int]) -> None:
    assert await batcher.submit(1) == 1
