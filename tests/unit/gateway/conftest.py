"""A gateway over a store and a broker that fail on demand."""

from collections.abc import AsyncIterator
from typing import cast

import pytest

from backhaul.core.ports.broker import Broker
from backhaul.core.ports.store import Store
from backhaul.testing.clock import ManualClock
from tests.conformance.http.stage import KIND, Stage, staged
from tests.unit.gateway.fakes import FakeBroker, FakeStore


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> FakeStore:
    return FakeStore(clock, [KIND])


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


@pytest.fixture
async def stage(store: FakeStore, broker: FakeBroker, clock: ManualClock) -> AsyncIterator[Stage]:
    async with staged(cast("Store", store), cast("Broker", broker), clock) as stage:
        yield stage
