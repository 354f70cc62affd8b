"""Deadlines that many share."""

import asyncio
import time
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest

from backhaul.core.deadlines import Deadline

SHORT = timedelta(milliseconds=20)
LONG = timedelta(seconds=30)


async def forever() -> None:
    await asyncio.Event().wait()


async def test_what_takes_too_long_is_given_up() -> None:
    begun = time.monotonic()

    with pytest.raises(TimeoutError), Deadline(SHORT)():
        await forever()

    assert 0.02 <= time.monotonic() - begun < 1
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_what_ends_in_time_is_left_alone() -> None:
    deadline = Deadline(SHORT)

    with deadline():
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError), deadline():  # and by now the time of the first is up, too
        await forever()


async def test_each_has_the_whole_time_from_its_own_beginning() -> None:
    deadline = Deadline(timedelta(milliseconds=100))
    lengths = []

    async def wait() -> None:
        begun = time.monotonic()
        with pytest.raises(TimeoutError), deadline():
            await forever()
        lengths.append(time.monotonic() - begun)

    first = asyncio.ensure_future(wait())
    await asyncio.sleep(0.05)
    await asyncio.gather(first, wait(), wait())

    assert len(lengths) == 3
    assert min(lengths) >= 0.099


async def test_thousands_set_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    deadline = Deadline(LONG)
    timers: list[Any] = []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "call_at", lambda *timer: timers.append(timer))

    async def wait() -> None:
        with deadline():
            await asyncio.sleep(0)

    for _ in range(10):
        await asyncio.gather(*(wait() for _ in range(100)))

    assert len(timers) == 1


async def test_who_is_cancelled_by_others_is_cancelled() -> None:
    async def wait() -> None:
        with Deadline(LONG)():
            await forever()

    waiting = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_who_is_cancelled_as_the_time_runs_out_is_cancelled() -> None:
    async def wait() -> None:
        with Deadline(SHORT)():
            try:
                await forever()
            except asyncio.CancelledError:
                asyncio.current_task().cancel()  # type: ignore[union-attr]
                raise

    with pytest.raises(asyncio.CancelledError):
        await asyncio.ensure_future(wait())


async def test_an_error_of_the_block_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError), Deadline(SHORT)():
        raise KeyError


async def in_good_order(ended: list[bool], parting: Awaitable[None]) -> None:
    """Waits, and when that is given up for `parting`."""
    try:
        await forever()
    finally:
        try:
            await parting
        finally:
            ended.append(True)


async def test_what_does_not_end_in_good_order_is_given_up_after_a_farewell() -> None:
    ended: list[bool] = []

    with pytest.raises(TimeoutError), Deadline(SHORT, farewell=SHORT)():
        await in_good_order(ended, forever())

    assert ended == [True]
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_what_ends_in_good_order_is_given_the_time_for_it() -> None:
    ended: list[bool] = []

    with pytest.raises(TimeoutError), Deadline(SHORT, farewell=LONG)():
        await in_good_order(ended, asyncio.sleep(0))

    assert ended == [True]


async def test_the_shorter_of_two_is_the_one_that_runs_out() -> None:
    for outer, inner in ((SHORT, LONG), (LONG, SHORT)):
        with pytest.raises(TimeoutError), Deadline(outer)(), Deadline(inner)():
            await forever()


def test_it_serves_one_event_loop_after_another() -> None:
    deadline = Deadline(SHORT)

    async def wait() -> None:
        with deadline():
            await forever()

    for _ in range(2):
        with pytest.raises(TimeoutError):
            asyncio.run(wait())


def test_only_a_task_can_wait() -> None:
    async def from_outside() -> None:
        refused = asyncio.get_running_loop().create_future()

        def enter() -> None:
            try:
                with Deadline(SHORT)():
                    pass
            except RuntimeError as error:
                refused.set_result(str(error))

        asyncio.get_running_loop().call_soon(enter)
        assert "only a task" in await refused

    asyncio.run(from_outside())
