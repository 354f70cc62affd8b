"""A clock that stands still until a test moves it."""

import asyncio
from datetime import UTC, datetime, timedelta


class HeldClock:
    """Sleepers wake in the order of their times when `advance` passes them."""

    def __init__(self) -> None:
        self._now = datetime(2030, 1, 1, tzinfo=UTC)
        self._sleepers: list[tuple[datetime, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._now

    async def sleep(self, length: timedelta) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + length, future))
        if length <= timedelta(0):
            self._wake()
        await future

    async def advance(self, seconds: float, step: float = 0.5) -> None:
        """Move on, in steps, so that what is due in between happens in between."""
        end = self._now + timedelta(seconds=seconds)
        while self._now < end:
            self._now = min(end, self._now + timedelta(seconds=step))
            self._wake()
            await turns()

    def _wake(self) -> None:
        due = sorted((entry for entry in self._sleepers if entry[0] <= self._now), key=lambda entry: entry[0])
        self._sleepers = [entry for entry in self._sleepers if entry[0] > self._now]
        for _, future in due:
            if not future.done():
                future.set_result(None)


async def turns(count: int = 30) -> None:
    """Let the loop turn until what can go on without time has gone on."""
    for _ in range(count):
        await asyncio.sleep(0)
