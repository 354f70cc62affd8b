"""Trouble on demand: what `platform.faults` does to a platform that runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from backhaul.broker.memory import Faults, Hub
from backhaul.broker.memory.faults import Dice
from backhaul.testing.crew import Crew


class Trouble:
    """Loses, repeats, delays and reorders messages by a seed, takes the broker away, and kills workers."""

    def __init__(self, hub: Hub, crew: Crew) -> None:
        self._hub = hub
        self._crew = crew

    @property
    def now(self) -> Faults:
        """How likely each fault is at present."""
        return self._hub.dice.faults

    def set(self, **likely: Any) -> None:
        """From now on so likely: `drop`, `duplicate`, `delay`, `reorder` from 0 to 1, `longest_delay`, `seed`."""
        self._hub.dice = Dice(replace(self.now, **likely))

    def clear(self) -> None:
        """No faults from now on."""
        self._hub.dice = Dice(Faults(seed=self.now.seed))

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """The broker is down inside of the block. Transient messages are lost with it."""
        self._hub.down()
        try:
            yield
        finally:
            self._hub.up()

    async def kill(self, service: str) -> None:
        """End the worker of a service at once, as `kill -9` does, and start another one.

        What ran goes on when the lease of the dead one is over: give the harness a `lease` and a `heartbeat` of less
        than 20 s and 5 s. A handler in a thread cannot be killed: it goes on, and nobody hears of it.
        """
        await self._crew.replace(service)
