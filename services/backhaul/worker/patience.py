"""Patience: for how long an answer is waited for before one asks again."""

from collections.abc import Callable
from datetime import timedelta
from typing import Generic, TypeVar

from backhaul.worker.timers import RESOLUTION, Timer, Timers

T = TypeVar("T")


class Patience(Generic[T]):
    """Calls `on_over` with each thing that was waited for in vain for `length`; then it waits for it anew."""

    def __init__(self, timers: Timers, length: timedelta, on_over: Callable[[T], None]) -> None:
        self._timers = timers
        self._length = length.total_seconds()
        self._on_over = on_over
        self._since: dict[T, float] = {}
        """The longest waited for first."""
        self._timer: Timer | None = None

    def expect(self, thing: T) -> None:
        """An answer on it is due; what is waited for already goes on being."""
        if thing not in self._since:
            self._since[thing] = self._timers.now()
            self._watch()

    def forget(self, thing: T) -> None:
        """It is answered, or wanted no more."""
        self._since.pop(thing, None)

    def _watch(self) -> None:
        if self._since and self._timer is None:
            first = next(iter(self._since.values()))
            self._timer = self._timers.at(first + self._length, self._look)

    def _look(self) -> None:
        self._timer = None
        overdue = self._timers.now() - self._length + RESOLUTION
        for thing in [thing for thing, since in self._since.items() if since <= overdue]:
            del self._since[thing]
            self.expect(thing)
            self._on_over(thing)
        self._watch()
