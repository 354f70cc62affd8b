"""Both adapters, for every test of the suite."""

from collections.abc import AsyncIterator

import pytest

from backhaul.core.messages.topology import Queue, Topology
from backhaul.core.ports.broker import Broker
from tests.conformance.broker.ground import Ground, MemoryGround, RabbitGround


@pytest.fixture
async def memory_ground() -> AsyncIterator[MemoryGround]:
    ground = MemoryGround()
    yield ground
    await ground.close()


@pytest.fixture
async def rabbit_ground(amqp_url: str) -> AsyncIterator[RabbitGround]:
    ground = RabbitGround(amqp_url)
    await ground.open()
    yield ground
    await ground.close()


@pytest.fixture(params=["memory", "rabbit"])
def ground(request: pytest.FixtureRequest) -> Ground:
    """The adapter under test, empty."""
    ground: Ground = request.getfixturevalue(f"{request.param}_ground")
    return ground


@pytest.fixture
async def broker(ground: Ground) -> Broker:
    """A started broker, with the queues `one`, `two` and one for `quiet`."""
    broker = await ground.broker()
    await broker.declare(Topology(queues=(Queue("one"), Queue("two"), Queue("suite.quiet"))))
    return broker
