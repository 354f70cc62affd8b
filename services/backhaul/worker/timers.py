"""Everything of a worker that happens at a time: one loop, one sleep on the clock."""

import asyncio
import heapq
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any

from backhaul.core.clock import Clock, SystemClock

_SPARE = 64
RESOLUTION = 1e-6
"""Clocks count microseconds: what is due within one is due."""


class Timer:
    """A call that is due at `at`, in seconds on the timeline of its `Timers`."""

    __slots__ = ("at", "call")

    def __init__(self, at: float, call: Callable[[], object]) -> None:
        self.at = at
        self.call: Callable[[], object] | None = call
        """None when it has been made, or is not to be."""

    @property
    def cancelled(self) -> bool:
        return self.call is None

    def cancel(self) -> None:
        """Never call it. Harmless when it has been called."""
        self.call = None

    def fire(self) -> None:
        call, self.call = self.call, None
        if call is not None:
            call()


@dataclass(frozen=True, slots=True)
class Stopped:
    """A timer that stands still: what it would call, and after how many seconds more."""

    left: float
    call: Callable[[], object]


class Timers:
    """Calls functions when their time has come, on a timeline that is never set back. `run` must be running."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.now = _timeline(clock)
        """Seconds since some moment; only differences mean anything."""
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._cancelled = 0
        self._sooner = asyncio.Event()
        self._waking: float | None = None

    def after(self, length: timedelta, call: Callable[[], object]) -> Timer:
        """Call `call` once, `length` from now."""
        return self.at(self.now() + length.total_seconds(), call)

    def at(self, moment: float, call: Callable[[], object]) -> Timer:
        """Call `call` once, at `moment`."""
        timer = Timer(moment, call)
        heapq.heappush(self._heap, (moment, next(self._order), timer))
        if self._waking is None or moment < self._waking:
            self._sooner.set()
        return timer

    def cancel(self, timer: Timer) -> None:
        """Never call it. What is cancelled is swept out once it is the greater part."""
        timer.cancel()
        self._cancelled += 1
        if self._cancelled > _SPARE + len(self._heap) // 2:
            self._heap = [entry for entry in self._heap if not entry[2].cancelled]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def stop(self, timer: Timer) -> Stopped | None:
        """Let its time stand still; None if it has been called already."""
        call = timer.call
        if call is None:
            return None
        self.cancel(timer)
        return Stopped(max(0.0, timer.at - self.now()), call)

    def go_on(self, stopped: Stopped) -> Timer:
        """Let its time go on."""
        return self.at(self.now() + stopped.left, stopped.call)

    async def within(self, length: timedelta, wait: Coroutine[Any, Any, object]) -> bool:
        """Whether `wait` has ended within `length`; if not, it is cancelled."""
        task = asyncio.ensure_future(wait)
        timer = self.after(length, task.cancel)
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
            self.cancel(timer)
        return not task.cancelled()

    async def run(self) -> None:
        """Fire timers until cancelled."""
        while True:
            self._fire_due()
            self._waking = self._heap[0][0] if self._heap else None
            self._sooner.clear()
            await self._sleep()

    def _fire_due(self) -> None:
        due = self.now() + RESOLUTION
        while self._heap and self._heap[0][0] <= due:
            heapq.heappop(self._heap)[2].fire()

    async def _sleep(self) -> None:
        if self._waking is None:
            await self._sooner.wait()
            return
        length = timedelta(seconds=max(0.0, self._waking - self.now()))
        waits = [asyncio.ensure_future(self._clock.sleep(length)), asyncio.ensure_future(self._sooner.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def _timeline(clock: Clock) -> Callable[[], float]:
    """The machine's time of day may be set back, its monotonic clock not; a clock that is held never is."""
    if isinstance(clock, SystemClock):
        return time.monotonic
    start = clock.now()

    def now() -> float:
        return (clock.now() - start).total_seconds()

    return now
