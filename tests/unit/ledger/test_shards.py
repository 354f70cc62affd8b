"""When the number of shards changes, no report is lost and no queue is left to fill up."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from backhaul.broker.memory import MemoryBroker
from backhaul.core.messages import topology
from backhaul.core.ports.broker import Delivery, Message
from backhaul.ledger.shards import Shards
from tests.conformance.broker.ground import Ear
from tests.support.deadlines import until


@pytest.fixture
async def broker() -> AsyncIterator[MemoryBroker]:
    broker = MemoryBroker()
    await broker.start()
    yield broker
    await broker.stop()


async def report(broker: MemoryBroker, *keys: int) -> None:
    """A batch of reports of these shards."""
    first, *others = map(str, keys)
    await broker.publish(
        [
            Message(
                exchange=topology.REPORTS,
                routing_key=first,
                copies_to=tuple(others),
                body=b"batch of " + b" ".join(b"%d" % key for key in keys),
                content_type="text/plain",
                reply_to="wrk_1",
            )
        ]
    )


async def waiting(broker: MemoryBroker, number: int) -> list[Delivery]:
    return await broker.get(topology.ledger_queue(number), 1_000)


async def shrink(broker: MemoryBroker, count: int) -> Shards:
    await broker.declare(topology.platform(count))
    return Shards(broker, count)


async def test_with_fewer_shards_what_waits_is_moved_and_the_queues_go(broker: MemoryBroker) -> None:
    await broker.declare(topology.platform(4))
    await report(broker, 3)
    await report(broker, 5, 6)
    shards = await shrink(broker, 1)

    assert await shards.retire()

    assert [await broker.ready(topology.ledger_queue(number)) for number in (1, 2, 3)] == [None] * 3
    moved = await waiting(broker, 0)
    assert {delivery.body for delivery in moved} == {b"batch of 3", b"batch of 5 6"}
    assert {delivery.reply_to for delivery in moved} == {"wrk_1"}


async def test_a_moved_batch_reaches_every_shard_that_it_is_for(broker: MemoryBroker) -> None:
    await broker.declare(topology.platform(3))
    await report(broker, 2, 5)
    shards = await shrink(broker, 2)

    await shards.retire()

    assert {delivery.body for delivery in await waiting(broker, 0)} == {b"batch of 2 5"}
    assert {delivery.body for delivery in await waiting(broker, 1)} == {b"batch of 2 5"}


async def test_afterwards_reports_go_to_the_queues_of_today_only(broker: MemoryBroker) -> None:
    await broker.declare(topology.platform(4))
    shards = await shrink(broker, 1)
    await shards.retire()

    await report(broker, 3)

    assert len(await waiting(broker, 0)) == 1


async def test_a_ledger_with_fewer_shards_needs_no_topology_applied_before(broker: MemoryBroker) -> None:
    await broker.declare(topology.platform(4))
    await report(broker, 3)

    assert await Shards(broker, 1).retire()
    await report(broker, 2)

    assert {delivery.body for delivery in await waiting(broker, 0)} == {b"batch of 3", b"batch of 2"}


async def test_a_queue_that_is_still_read_stays_until_its_reader_is_gone(broker: MemoryBroker) -> None:
    await broker.declare(topology.platform(2))
    heard: list[Delivery] = []
    reader = await broker.consume(topology.ledger_queue(1), heard.append, credit=10)
    shards = await shrink(broker, 1)

    read_still = await shards.retire()
    await report(broker, 1)
    await until(lambda: heard)
    heard[0].ack()
    await reader.cancel()

    assert not read_still
    assert await shards.retire()
    assert await broker.ready(topology.ledger_queue(1)) is None


async def test_surplus_queues_are_named_with_what_to_do(broker: MemoryBroker) -> None:
    await broker.declare(topology.platform(3))
    shards = await shrink(broker, 1)

    named = await shards.surplus()

    assert [misfit.thing for misfit in named] == ["queue backhaul.ledger.1", "queue backhaul.ledger.2"]
    assert "`backhaul topology apply`" in named[0].remedy


async def test_two_that_clear_away_at_once_lose_nothing(broker: MemoryBroker) -> None:
    await broker.declare(topology.platform(2))
    for _ in range(5):
        await report(broker, 1)
    await broker.declare(topology.platform(1))
    before = await broker.ready(topology.ledger_queue(0))
    one, other = Shards(broker, 1), Shards(broker, 1)

    await asyncio.gather(one.retire(), other.retire())
    await one.retire()

    assert before == 0
    assert len(await waiting(broker, 0)) == 5
    assert await broker.ready(topology.ledger_queue(1)) is None


async def test_with_more_shards_each_queue_gets_its_own_once_all_are_read(broker: MemoryBroker) -> None:
    await broker.declare(topology.platform(1))
    shards = await shrink(broker, 2)
    await broker.consume(topology.ledger_queue(0), Ear(), credit=1)

    early = await shards.part()
    await broker.consume(topology.ledger_queue(1), Ear(), credit=1)
    late = await shards.part()
    await report(broker, 1)
    await report(broker, 1)

    assert (early, late) == (False, True)
    assert (await broker.ready(topology.ledger_queue(0)), await broker.ready(topology.ledger_queue(1))) == (0, 1)
