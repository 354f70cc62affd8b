"""The testing kit: a service under test on a whole platform in memory.

async with Harness(service) as platform:
    task = await platform.submit("digest.summarise", {"text": "…"})
    assert await task.result() == {...}
"""

from backhaul.broker.memory import Faults
from backhaul.testing.clock import ManualClock
from backhaul.testing.harness import Harness
from backhaul.testing.trouble import Trouble

__all__ = ["Faults", "Harness", "ManualClock", "Trouble"]
