"""Leaving in good order: finish what can be finished, hand back what has stopped, wait until that is recorded, and
say farewell."""

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta

from backhaul.worker.attempts.attempt import StopCause
from backhaul.worker.shift import Shift

_log = logging.getLogger("backhaul.worker")

_FOR_ANSWERS = timedelta(seconds=3)
_FOR_RECORDS = timedelta(seconds=5)
_FOR_FAREWELL = timedelta(seconds=2)
_FOR_KILLED_SECONDS = 2.0  # of the system's own time, whatever the clock


async def drain(shift: Shift, grace: timedelta) -> None:
    """Take nothing new, let attempts end within `grace`, then ask the others to stop and hand them back.

    What has not stopped by then (a thread, a handler that swallows its cancellation) is handed back all the same: the
    process is expected to end right after. After its farewell nothing is granted to the worker any more, and what it
    still holds by record goes on elsewhere.
    """
    await _take_nothing_new(shift)
    if not await shift.timers.within(grace, shift.idle()) and shift.attempts.running:
        await _stop_all(shift)
    for listening in shift.listenings:
        listening.abandon()
    shift.attempts.hand_back_all()
    if not await shift.timers.within(_FOR_RECORDS, shift.reporter.settled()):
        _log.warning("not every outcome was recorded in time: what has not been by now, other workers take over")
    if not await shift.timers.within(_FOR_FAREWELL, shift.beats.farewell()):
        _log.warning("the farewell was not heard in time: other workers take over when the lease is over")


async def _take_nothing_new(shift: Shift) -> None:
    shift.beats.beat_now()
    shift.claims.close()
    for listening in shift.listenings:
        await listening.close()
    for stream in shift.streams:
        await stream.close()
    shift.attempts.drain()
    await shift.timers.within(_FOR_ANSWERS, shift.claims.answered())


async def _stop_all(shift: Shift) -> None:
    grace = max(attempt.handler.grace for attempt in shift.attempts.running)
    shift.attempts.stop_all(StopCause.LEAVING)
    if not await shift.timers.within(grace, shift.attempts.idle()):
        await _see_killed(shift)


async def _see_killed(shift: Shift) -> None:
    """Processes are killed at the end of their grace: they have stopped for certain before that is said."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_FOR_KILLED_SECONDS):
            await shift.processes.calm()
