"""How a client tries again: exponential back-off with full jitter, as long as its patience lasts."""

import asyncio
import random
import time
from collections.abc import Callable
from datetime import timedelta

from backhaul.client.errors import ClientError

BASE = timedelta(milliseconds=100)
CAP = timedelta(seconds=5)


def backoff(failures: int, at_least: timedelta, draw: Callable[[], float] = random.random) -> timedelta:
    """The pause after so many failures in a row: never shorter than the server asks for."""
    wait = min(CAP, BASE * (1 << min(failures - 1, 16))) * draw()
    return at_least + wait if at_least else wait


class Patience:
    """Counts failures in a row, and gives up when nothing has gone well for `limit`."""

    def __init__(self, limit: timedelta) -> None:
        self._limit = limit
        self._since = time.monotonic()
        self._failures = 0

    def heard(self) -> None:
        """The server lives: the time to give up moves on."""
        self._since = time.monotonic()

    def reset(self) -> None:
        """Something went well: start anew."""
        self.heard()
        self._failures = 0

    async def pause(self, failure: ClientError, at_least: timedelta = timedelta(0)) -> None:
        """Wait before the next try, not shorter than `failure` asks for.

        Raises `failure` at once if the next try would be later than the patience lasts.
        """
        self._failures += 1
        wait = backoff(self._failures, max(at_least, failure.retry_after))
        silent = timedelta(seconds=time.monotonic() - self._since)
        if silent + wait > self._limit:
            raise failure
        await asyncio.sleep(wait.total_seconds())
