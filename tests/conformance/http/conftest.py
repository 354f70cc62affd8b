"""The stage that every test of the HTTP contract plays on."""

from collections.abc import AsyncIterator

import pytest

from backhaul.testing.clock import ManualClock
from tests.conformance.http.stage import KIND, Stage, staged
from tests.unit.gateway.fakes import FakeBroker, FakeStore


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    clock = ManualClock()
    async with staged(FakeStore(clock, [KIND]), FakeBroker(), clock) as stage:
        yield stage
