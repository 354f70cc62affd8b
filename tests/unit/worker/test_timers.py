"""Calls at their time, by one sleep on the clock."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from backhaul.worker.patience import Patience
from backhaul.worker.timers import Timers
from tests.unit.worker.held_clock import HeldClock, turns

SECOND = timedelta(seconds=1)


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
async def timers(clock: HeldClock) -> AsyncIterator[Timers]:
    timers = Timers(clock)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(timers.run())
        await turns()
        yield timers
        running.cancel()


async def test_calls_come_in_the_order_of_their_times(timers: Timers, clock: HeldClock) -> None:
    called: list[str] = []
    timers.after(3 * SECOND, lambda: called.append("third"))
    timers.after(1 * SECOND, lambda: called.append("first"))
    timers.after(2 * SECOND, lambda: called.append("second"))

    await clock.advance(2)
    so_far = list(called)
    await clock.advance(1)

    assert so_far == ["first", "second"]
    assert called == ["first", "second", "third"]


async def test_a_cancelled_call_does_not_come(timers: Timers, clock: HeldClock) -> None:
    called: list[str] = []
    timer = timers.after(SECOND, lambda: called.append("never"))

    timers.cancel(timer)
    await clock.advance(2)

    assert called == []


async def test_what_is_cancelled_does_not_pile_up(timers: Timers) -> None:
    for _ in range(1000):
        timers.cancel(timers.after(SECOND, lambda: None))

    assert len(timers._heap) < 200


async def test_a_time_with_a_rounding_error_is_not_waited_for_in_a_circle(timers: Timers, clock: HeldClock) -> None:
    called: list[str] = []
    await clock.advance(0.1, step=0.1)
    timers.after(timedelta(seconds=0.2), lambda: called.append("it"))

    await clock.advance(0.2, step=0.2)

    assert called == ["it"]


async def test_within_says_whether_it_was_in_time(timers: Timers, clock: HeldClock) -> None:
    never = asyncio.ensure_future(timers.within(SECOND, asyncio.Event().wait()))
    soon = asyncio.ensure_future(timers.within(SECOND, asyncio.sleep(0)))
    await turns()

    await clock.advance(1)

    assert not await never
    assert await soon


async def test_patience_ends_for_what_has_waited_longest_and_begins_anew(timers: Timers, clock: HeldClock) -> None:
    asked: list[str] = []
    patience: Patience[str] = Patience(timers, 5 * SECOND, asked.append)
    patience.expect("a")
    await clock.advance(2)
    patience.expect("b")
    patience.expect("a")

    await clock.advance(3)
    first = list(asked)
    await clock.advance(2)
    patience.forget("b")
    await clock.advance(10)

    assert first == ["a"]
    assert asked == ["a", "b", "a", "a"]
