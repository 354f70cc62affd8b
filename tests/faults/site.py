"""What all the load shares: where the gateways are, when to end, and where to write down what is seen."""

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import count
from typing import Any

from tests.proof.history import History

UNKNOWN = frozenset({429, 502, 503, 504})
"""Answers after which nothing is known of a request. Anything else that was not to be expected is strange."""


@dataclass(slots=True)
class Site:
    """`stop`: no new work, please; what is under way is followed to its end."""

    gateways: Sequence[str]
    history: History
    chance: random.Random
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    answered: list[tuple[str, datetime]] = field(default_factory=list)
    """When which gateway answered a request."""
    strange: list[str] = field(default_factory=list)
    _turn: "count[int]" = field(default_factory=count)

    def gateway(self) -> str:
        """The gateways in turn: whoever asks twice asks two."""
        return self.gateways[next(self._turn) % len(self.gateways)]

    def heard(self, gateway: str) -> None:
        self.answered.append((gateway, now()))

    async def pause(self, longest: timedelta = timedelta(milliseconds=400)) -> None:
        """Before the same thing is tried again."""
        await asyncio.sleep(self.chance.uniform(0.05, longest.total_seconds()))

    async def idle(self, length: float) -> None:
        """For so many seconds, or until `stop`."""
        try:
            async with asyncio.timeout(length):
                await self.stop.wait()
        except TimeoutError:
            return


def now() -> datetime:
    return datetime.now(UTC)


def digest(value: Any) -> str:
    """Equal for equal JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=8).hexdigest()
