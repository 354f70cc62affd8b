"""Exclusive attempts: they stop before their lease can end unseen, so that two attempts never overlap."""

import logging
from collections.abc import Callable, Iterable
from datetime import timedelta

from backhaul.worker.attempts.attempt import Attempt
from backhaul.worker.beats import Beats
from backhaul.worker.timers import RESOLUTION, Timer, Timers

_log = logging.getLogger("backhaul.worker")


class ExclusiveWatch:
    """Counts from the *sending* of the last beat that was answered (or of the claim, if that is later), and asks
    exclusive attempts to stop one heartbeat before the lease would end."""

    def __init__(
        self,
        beats: Beats,
        timers: Timers,
        heartbeat: timedelta,
        running: Callable[[], Iterable[Attempt]],
        stop: Callable[[Attempt], None],
    ) -> None:
        self._beats = beats
        self._timers = timers
        self._margin = heartbeat.total_seconds()
        self._running = running
        self._stop = stop
        self._timer: Timer | None = None

    def renew(self) -> None:
        """Look anew: the lease is longer now, there is another attempt to watch, or a time has come. An attempt whose
        grant arrives when its lease is over already never begins."""
        if self._timer is not None:
            self._timers.cancel(self._timer)
            self._timer = None
        self._let_go()
        ends = [self._end(attempt) for attempt in self._watched()]
        if ends:
            self._timer = self._timers.at(min(ends), self.renew)

    def _let_go(self) -> None:
        due = self._timers.now() + RESOLUTION
        for attempt in self._watched():
            if self._end(attempt) <= due:
                _log.warning("%s is exclusive and its lease is not renewed: it is asked to stop", attempt)
                self._stop(attempt)

    def _watched(self) -> list[Attempt]:
        return [attempt for attempt in self._running() if attempt.handler.exclusive and attempt.cause is None]

    def _end(self, attempt: Attempt) -> float:
        lease = self._beats.lease.total_seconds() if self._beats.lease is not None else 0.0
        return max(self._beats.secured_from or attempt.claimed_at, attempt.claimed_at) + lease - self._margin
