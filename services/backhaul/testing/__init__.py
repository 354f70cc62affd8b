"""The testing kit: a service under test on a whole platform in memory.

async with Harness(service) as platform:
    task = await platform.submit("digest.summarise", {"text": "…"})
    assert await task.result() == {...}
"""

from backhaul.testing.clock import ManualClock
from backhaul.testing.harness import Harness

__all__ = ["Harness", "ManualClock"]
