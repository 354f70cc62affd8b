"""Deadlines: giving up a wait as `asyncio.timeout` does, where thousands a second wait equally long."""

import asyncio
from datetime import timedelta
from types import TracebackType


class Deadline:
    """`with deadline(): …` raises `TimeoutError` if the block takes longer than `length`, by cancelling what it awaits.

    All who wait in an event loop share one timer, which is seldom set: an `asyncio.timeout` of its own for each call
    costs ten times as much, most of it for a timer that is never heard of again.

    `farewell`: how long what is cancelled may take to end in good order; then that is cancelled, too.
    """

    def __init__(self, length: timedelta, *, farewell: timedelta | None = None) -> None:
        self.seconds = length.total_seconds()
        self._farewell = None if farewell is None else farewell.total_seconds()
        self._rows: dict[asyncio.AbstractEventLoop, _Row] = {}

    def __call__(self) -> "_Wait":
        loop = asyncio.get_running_loop()
        row = self._rows.get(loop)
        return _Wait(self._new_row(loop) if row is None else row)

    def _new_row(self, loop: asyncio.AbstractEventLoop) -> "_Row":
        self._rows = {other: row for other, row in self._rows.items() if not other.is_closed()}
        row = self._rows[loop] = _Row(loop, self.seconds, self._farewell)
        return row


class _Row:
    """Those who wait in one event loop: who came first is the first whose time is up."""

    def __init__(self, loop: asyncio.AbstractEventLoop, length: float, farewell: float | None) -> None:
        self.loop = loop
        self.farewell = farewell
        self.waits: dict[_Wait, None] = {}  # a set that keeps their order
        self._length = length
        self._is_watched = False

    def join(self, wait: "_Wait") -> float:
        """Until when it may wait."""
        until = self.loop.time() + self._length
        self.waits[wait] = None
        if not self._is_watched:
            self._watch(until)
        return until

    def _watch(self, until: float) -> None:
        self._is_watched = True
        self.loop.call_at(until, self._look)

    def _look(self) -> None:
        self._is_watched = False
        now = self.loop.time()
        for wait in list(self.waits):
            if wait.until > now:
                return self._watch(wait.until)
            del self.waits[wait]
            wait.give_up()
        return None


class _Wait:
    """One block, and the task that it is part of."""

    __slots__ = ("_again", "_cancelled", "_cancelled_before", "_row", "_task", "until")

    until: float
    _task: "asyncio.Task[object]"

    def __init__(self, row: _Row) -> None:
        self._row = row
        self._cancelled = 0
        self._again: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task(self._row.loop)
        if task is None:
            raise RuntimeError("only a task can be kept from waiting too long")
        self._task = task
        self._cancelled_before = task.cancelling()
        self.until = self._row.join(self)

    def give_up(self) -> None:
        self._cancelled += 1
        self._task.cancel()
        if self._cancelled == 1 and self._row.farewell is not None:
            self._again = self._row.loop.call_later(self._row.farewell, self.give_up)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._cancelled:
            del self._row.waits[self]
            return
        if self._again is not None:
            self._again.cancel()
        for _ in range(self._cancelled):
            self._task.uncancel()
        if kind is asyncio.CancelledError and self._task.cancelling() <= self._cancelled_before:
            raise TimeoutError from error
