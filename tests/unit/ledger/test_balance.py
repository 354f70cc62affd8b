"""The balance of tokens, on the broker in memory."""

from typing import cast

from backhaul.broker.memory import MemoryBroker
from backhaul.core.clock import SystemClock
from backhaul.core.messages import topology
from backhaul.core.ports.store import Store
from backhaul.ledger.balance import Balance
from backhaul.ledger.taskqueues import TaskQueues

COUNTS = {"many": 2_500, "few": 3}


class ManyWait:
    """A store in which as many tasks wait."""

    async def claimable(self) -> dict[str, int]:
        return await self.waiting(1_000)

    async def waiting(self, most: int) -> dict[str, int]:
        return {queue: min(count, most) for queue, count in COUNTS.items()}


async def test_after_a_loss_there_are_as_many_tokens_as_tasks_wait() -> None:
    broker = MemoryBroker()
    await broker.start()
    await broker.declare(topology.platform(1))
    queues = TaskQueues(broker, SystemClock())
    await queues.declare(COUNTS)
    balance = Balance(cast("Store", ManyWait()), broker, queues)

    one_look = await balance.balance()
    after_one_look = await queues.ready(COUNTS)
    await balance.balance()
    after_two_looks = await queues.ready(COUNTS)

    assert not one_look
    assert after_one_look == {"many": 0, "few": 0}
    assert after_two_looks == COUNTS
    await broker.stop()


async def test_tokens_that_are_issued_anew_find_their_way_though_its_binding_was_deleted() -> None:
    broker = MemoryBroker()
    await broker.start()
    await broker.declare(topology.platform(1))
    queues = TaskQueues(broker, SystemClock())
    await queues.declare(COUNTS)
    await broker.unbind(topology.task_queues(COUNTS).bindings)
    balance = Balance(cast("Store", ManyWait()), broker, queues)

    await balance.balance()
    await balance.balance()

    assert await queues.ready(COUNTS) == COUNTS
    assert await broker.ready(topology.UNROUTED) == 0
    await broker.stop()
