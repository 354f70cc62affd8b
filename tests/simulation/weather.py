"""Weather: how long everything takes, and what is down. Drawn from the seed."""

import asyncio
import random
from dataclasses import dataclass, field

_AT_ONCE = 0.6


@dataclass(slots=True)
class Weather:
    """How store and network behave now. Lengths in seconds of simulated time."""

    draw: random.Random
    latency: float = 0.001
    """The usual way to the store or the broker, and back; drawn from 0 to twice that."""
    slow: float = 0.0
    """How likely a way takes a hundred times as long."""
    store_down: bool = False
    store_refuses: float = 0.0
    """How likely a call of the store fails before it has done anything."""
    store_forgets: float = 0.0
    """How likely the answer of the store is lost, after it has committed."""
    connection_lost: float = 0.0
    """How likely a publish costs the connection."""

    back: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the store has come back."""

    def way(self) -> float:
        """How long the next way takes. Most take no time at all, since each that does costs a turn of the loop."""
        luck = self.draw.random()
        if luck < self.slow:
            return self.latency * 100 * (1 + luck)
        return self.latency * 2 * luck if luck > _AT_ONCE else 0.0

    async def travel(self) -> None:
        """To the store or the broker, or back."""
        if (length := self.way()) > 0:
            await asyncio.sleep(length)

    def happens(self, likelihood: float) -> bool:
        return likelihood > 0 and self.draw.random() < likelihood

    def calm(self) -> None:
        """Everything is well again."""
        self.slow = self.store_refuses = self.store_forgets = self.connection_lost = 0.0
