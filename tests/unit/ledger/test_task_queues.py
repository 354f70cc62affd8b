"""Queues of tokens that cannot be made as they should be."""

from backhaul.broker.memory import MemoryBroker
from backhaul.core.clock import SystemClock
from backhaul.core.messages import topology
from backhaul.core.messages.announcements import spare_tokens
from backhaul.ledger.taskqueues import TaskQueues


async def test_a_queue_that_was_made_before_its_exchange_is_bound_when_that_is_there_and_no_misfit_any_more() -> None:
    broker = MemoryBroker()
    await broker.start()
    queues = TaskQueues(broker, SystemClock())
    faults = await queues.declare(["digest"])
    standing = queues.misfits

    await broker.declare(topology.platform(1))
    await queues.ready(["digest"])
    await broker.publish(spare_tokens("digest", 3))
    counts = await queues.ready(["digest"])
    await broker.stop()

    assert faults
    assert standing == faults
    assert queues.misfits == []
    assert counts == {"digest": 3}
