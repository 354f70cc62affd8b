import asyncio

import pytest

from backhaul.wiring.beside import beside


class Loop:
    """Runs until it is told to end, or fails."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.broken = asyncio.Event()
        self.ended = False

    async def run(self) -> None:
        waits = [asyncio.ensure_future(self.stop.wait()), asyncio.ensure_future(self.broken.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self.broken.is_set():
            raise ConnectionError("the loop broke")
        self.ended = True


async def test_it_runs_for_as_long_as_the_block_lasts() -> None:
    loop = Loop()

    async with beside(loop.run(), end=loop.stop.set):
        await asyncio.sleep(0)
        ended_inside = loop.ended

    assert (ended_inside, loop.ended) == (False, True)


async def test_an_error_of_the_block_comes_out_as_it_is() -> None:
    loop = Loop()

    with pytest.raises(ValueError, match="of the block"):
        async with beside(loop.run(), end=loop.stop.set):
            raise ValueError("of the block")

    assert loop.ended


async def test_a_failure_beside_the_block_interrupts_it_and_is_raised() -> None:
    loop = Loop()

    async def block() -> None:
        async with beside(loop.run(), end=loop.stop.set):
            loop.broken.set()
            await asyncio.Event().wait()

    with pytest.raises(ConnectionError, match="the loop broke"):
        await block()

    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_cancelled_block_still_ends_in_good_order() -> None:
    loop, entered = Loop(), asyncio.Event()

    async def block() -> None:
        async with beside(loop.run(), end=loop.stop.set):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    await entered.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert loop.ended
