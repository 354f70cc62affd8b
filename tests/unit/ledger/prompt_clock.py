"""A clock for what waits for nothing but time."""

import asyncio
from datetime import timedelta

from backhaul.testing import ManualClock


class PromptClock(ManualClock):
    """Time passes as soon as somebody waits for it."""

    async def sleep(self, length: timedelta) -> None:
        self.advance(length)
        await asyncio.sleep(0)
