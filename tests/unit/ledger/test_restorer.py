"""What is deleted from the broker under a running platform is declared anew, with its bindings."""

from collections.abc import AsyncIterator

import pytest

from backhaul.broker.memory import MemoryBroker
from backhaul.core import topology
from backhaul.core.ports.broker import Message
from backhaul.ledger.restorer import Restorer
from backhaul.testing import ManualClock


@pytest.fixture
async def broker() -> AsyncIterator[MemoryBroker]:
    """One on which nothing stands."""
    broker = MemoryBroker()
    await broker.start()
    yield broker
    await broker.stop()


@pytest.fixture
def restorer(broker: MemoryBroker) -> Restorer:
    return Restorer(broker, ManualClock(), shards=2)


async def test_every_queue_stands_again_with_its_bindings(
    broker: MemoryBroker, restorer: Restorer, caplog: pytest.LogCaptureFixture
) -> None:
    await restorer.restore()

    assert await broker.check(topology.platform(2)) == []
    for exchange, key in ((topology.REPORTS, "255"), (topology.SUBMIT, "any.kind")):
        await broker.publish([Message(exchange=exchange, routing_key=key, body=b"{}", content_type="")])
    assert await broker.ready(topology.UNROUTED) == 0
    assert "queue backhaul.claims was deleted, with all it held: it is declared anew" in caplog.text


async def test_what_stands_is_left_alone(
    broker: MemoryBroker, restorer: Restorer, caplog: pytest.LogCaptureFixture
) -> None:
    await broker.declare(topology.platform(2))

    await restorer.restore()

    assert caplog.text == ""


async def test_a_broker_that_is_down_is_left_alone(broker: MemoryBroker, restorer: Restorer) -> None:
    await broker.stop()

    await restorer.restore()

    await broker.start()
    assert await broker.ready(topology.CLAIMS) is None
