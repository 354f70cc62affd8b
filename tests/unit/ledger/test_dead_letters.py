import logging
from datetime import timedelta

import pytest

from backhaul.broker.memory import MemoryBroker
from backhaul.core.messages import topology
from backhaul.core.messages.deadletters import set_aside
from backhaul.core.ports.broker import Message
from backhaul.ledger.deadletters import Watch
from backhaul.testing import ManualClock
from tests.support.deadlines import within


async def given_broker(clock: ManualClock) -> MemoryBroker:
    broker = MemoryBroker(clock=clock)
    await broker.start()
    await broker.declare(topology.platform(1))
    return broker


def to(queue: str, **properties: object) -> Message:
    return Message(exchange="", routing_key=queue, body=b"x", content_type="text/plain", **properties)  # type: ignore[arg-type]


async def test_the_log_tells_of_new_dead_letters_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    broker = await given_broker(clock)
    await broker.publish([to(topology.DEAD), to(topology.DEAD)])
    watch = Watch(broker, clock)
    caplog.set_level(logging.WARNING)

    async with within(timedelta(seconds=5)):
        await watch.look()
        await watch.look()
        await broker.publish([to(topology.DEAD)])
        await watch.look()

    assert [record.getMessage() for record in caplog.records] == [
        "backhaul.dead holds 2 dead letters, 2 of them new: see `backhaul dead-letters`",
        "backhaul.dead holds 3 dead letters, 1 of them new: see `backhaul dead-letters`",
    ]
    await broker.stop()


async def test_headers_that_would_route_or_outgrow_a_frame_are_not_carried_along() -> None:
    clock = ManualClock()
    broker = await given_broker(clock)
    await broker.publish(
        [
            to("backhaul.submit", copies_to=("elsewhere",), expiration=timedelta(minutes=1)),
            to("backhaul.submit", headers={"large": "x" * 130_000}),
        ]
    )

    copied, large = [
        set_aside(delivery, topology.INVALID, "unknown_kind", "d" * 2_000, clock.now())
        for delivery in await broker.get("backhaul.submit", 2)
    ]

    assert (copied.copies_to, copied.expiration, copied.headers.get("CC")) == ((), None, None)
    assert (copied.headers["bh-cc"], copied.headers["bh-expiration"]) == (["elsewhere"], "60000")
    assert "large" not in large.headers
    assert len(str(large.headers["bh-detail"])) == 1_000
    await broker.stop()
