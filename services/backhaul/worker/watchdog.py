"""The watchdog: notices that the event loop is blocked, and by what."""

import asyncio
import logging
import sys
import threading
import traceback
from datetime import timedelta
from types import TracebackType
from typing import Self
from weakref import WeakSet

_log = logging.getLogger("backhaul.watchdog")

LIMIT = timedelta(milliseconds=500)

_watched: "WeakSet[asyncio.AbstractEventLoop]" = WeakSet()


class Watchdog:
    """A thread that asks the running loop for a sign of life, and logs the stack of its thread when none comes in
    time: once for each blockage. A loop is watched by one of them, however many are entered."""

    def __init__(self, limit: timedelta = LIMIT) -> None:
        self.blockages = 0
        """How often the loop was blocked for longer than the limit."""
        self._limit = limit.total_seconds()
        self._stopped = threading.Event()
        self._alive = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: int | None = None

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        if loop not in _watched:
            _watched.add(loop)
            self._loop = loop
            self._thread = threading.get_ident()
            threading.Thread(target=self._watch, name="backhaul-watchdog", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        if self._loop is not None:
            _watched.discard(self._loop)

    def _watch(self) -> None:
        while not self._stopped.wait(self._limit / 5) and self._ask():
            if not self._alive.wait(self._limit):
                self._report()
                self._await_life()

    def _ask(self) -> bool:
        self._alive.clear()
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._alive.set)
        except RuntimeError:  # the loop is closed
            return False
        return True

    def _await_life(self) -> None:
        while not self._alive.wait(self._limit) and not self._stopped.is_set():
            pass

    def _report(self) -> None:
        self.blockages += 1
        frame = sys._current_frames().get(self._thread or 0)  # noqa: SLF001 - the documented way
        stack = "".join(traceback.format_stack(frame)) if frame else "(its thread is gone)\n"
        _log.warning(
            "the event loop is blocked for longer than %g s: make this an await, or the handler a plain def\n%s",
            self._limit,
            stack.rstrip(),
        )
