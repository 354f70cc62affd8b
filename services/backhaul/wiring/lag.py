"""How late the event loop is: what blocks it shows here, in any role."""

import asyncio
from datetime import timedelta

from backhaul.core.metrics import MOMENTS, Metric, Shape, Spread

LAG = Metric(
    "backhaul_event_loop_lag_seconds",
    Shape.HISTOGRAM,
    "How much later than asked for the process turned to what was due, measured twice a second.",
)

_EVERY = timedelta(seconds=0.5)


class LoopLag:
    """`run` must be running."""

    def __init__(self) -> None:
        self.spread = Spread(MOMENTS)

    async def run(self) -> None:
        """Measure until cancelled. It is the system's own time that counts, whatever the clock."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _EVERY.total_seconds()
            await asyncio.sleep(_EVERY.total_seconds())
            self.spread.observe(loop.time() - due)
