"""What is dear to read is read seldom."""

import asyncio

import pytest

from backhaul.core.errors import StoreUnavailable
from backhaul.wiring.sharing import Shared


class Reading:
    """Takes as long as it is told, and gives numbers from 1 on."""

    def __init__(self) -> None:
        self.number = 0
        self.answers = asyncio.Event()
        self.begun = asyncio.Event()

    async def __call__(self) -> int:
        self.number += 1
        self.begun.set()
        await self.answers.wait()
        return self.number


async def test_who_asks_while_it_is_read_gets_the_same() -> None:
    read = Reading()
    shared = Shared(read)

    asking = [asyncio.ensure_future(shared.get()) for _ in range(5)]
    await read.begun.wait()
    read.answers.set()

    assert await asyncio.gather(*asking) == [1] * 5


async def test_it_is_kept_for_ten_times_as_long_as_it_took() -> None:
    now = 1000.0

    async def read() -> float:
        nonlocal now
        now += 2
        return now

    shared = Shared(read, lambda: now)
    first = await shared.get()
    now += 19.9
    kept = await shared.get()
    now += 0.1
    anew = await shared.get()

    assert (first, kept, anew) == (1002.0, 1002.0, 1024.0)


async def test_a_failure_is_not_kept_and_neither_is_a_reading_that_nobody_waited_for() -> None:
    read = Reading()
    shared = Shared(read)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(shared.get(), timeout=0.01)
    read.answers.set()

    assert await shared.get() == 2


async def test_who_comes_after_a_failure_tries_again() -> None:
    outages = [StoreUnavailable("the database is away")]

    async def read() -> str:
        if outages:
            raise outages.pop()
        return "here"

    shared = Shared(read)
    with pytest.raises(StoreUnavailable):
        await shared.get()

    assert await shared.get() == "here"
