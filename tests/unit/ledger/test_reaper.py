"""When the reaper takes leases away, and what it publishes at a time."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

import pytest

from backhaul.broker.memory import MemoryBroker
from backhaul.core import topology
from backhaul.core.commands import Lose
from backhaul.core.ports.store import Store
from backhaul.core.relay import Relay
from backhaul.ledger.reaper import Reaper
from backhaul.testing import ManualClock
from backhaul_contracts.ids import new_task_id

LEASE = timedelta(seconds=20)
TICK = timedelta(milliseconds=500)


class OneLapsed:
    """The one call of the store that matters here."""

    async def lapsed(self, limit: int) -> list[Lose]:
        return [Lose(new_task_id(0), 1)]


@dataclass
class Stage:
    clock: ManualClock
    broker: MemoryBroker
    store: Store

    def reaper(self, *, alone: bool = False) -> Reaper:
        relay = Relay(self.store, self.broker, self.clock)
        return Reaper(self.store, self.broker, relay, self.clock, "/test", patience=LEASE, alone=alone)

    async def look(self, reaper: Reaper, length: timedelta) -> int:
        """How many attempts it declares lost while it looks at every tick for this long."""
        before = await self._lost()
        for _ in range(length // TICK):
            self.clock.advance(TICK)
            await reaper.reap()
        return await self._lost() - before

    async def _lost(self) -> int:
        return await self.broker.ready(topology.ledger_queue(0)) or 0


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    clock = ManualClock()
    broker = MemoryBroker(clock=clock)
    await broker.start()
    await broker.declare(topology.platform(1))
    yield Stage(clock, broker, cast("Store", OneLapsed()))
    await broker.stop()


async def test_it_waits_for_a_lease_after_its_start(stage: Stage) -> None:
    reaper = stage.reaper()

    assert await stage.look(reaper, LEASE) == 0
    assert await stage.look(reaper, TICK) == 1


async def test_alone_it_takes_leases_of_before_at_once(stage: Stage) -> None:
    assert await stage.look(stage.reaper(alone=True), TICK) == 1


async def test_it_waits_for_a_lease_after_the_broker_was_away(stage: Stage) -> None:
    reaper = stage.reaper()
    await stage.look(reaper, LEASE)

    stage.broker.lose()
    await reaper.reap()
    stage.broker.restore()

    assert await stage.look(reaper, LEASE) == 0
    assert await stage.look(reaper, TICK) == 1


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("set_by", [timedelta(minutes=5), timedelta(minutes=-5)])
async def test_it_waits_for_a_lease_after_it_stood_still_or_the_clock_was_set(
    stage: Stage, set_by: timedelta, alone: bool
) -> None:
    reaper = stage.reaper(alone=alone)
    await stage.look(reaper, LEASE + TICK)

    stage.clock.advance(set_by)

    assert await stage.look(reaper, LEASE) == 0
    assert await stage.look(reaper, 2 * TICK) > 0
