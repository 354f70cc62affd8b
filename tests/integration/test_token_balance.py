"""Tens of thousands of tokens too many in a queue of a real RabbitMQ."""

import asyncio
from typing import cast

from backhaul.broker.rabbitmq import RabbitBroker
from backhaul.core.clock import SystemClock
from backhaul.core.messages import topology
from backhaul.core.messages.announcements import spare_tokens
from backhaul.core.ports.store import Store
from backhaul.ledger.balance import Balance
from backhaul.ledger.taskqueues import TaskQueues

SURPLUS = 20


class NothingWaits:
    async def claimable(self) -> dict[str, int]:
        return {}


async def test_a_surplus_of_tokens_is_cleared_away_in_bulk(amqp_url: str) -> None:
    broker = RabbitBroker(amqp_url, name="ledger")
    await broker.start()
    await broker.declare(topology.platform(1))
    queues = TaskQueues(broker, SystemClock())
    balance = Balance(cast("Store", NothingWaits()), broker, queues)
    await queues.declare(["test"])
    for _ in range(SURPLUS):
        await broker.publish(spare_tokens("test", 1_000))

    async with asyncio.timeout(45):
        left = None
        while left is None or left > 1_000:  # 3.10 gives back some of what is acknowledged just before a channel closes
            while await balance.balance():
                pass
            left = (await queues.ready(["test"]))["test"]
    dead = await broker.ready(topology.DEAD)
    await broker.stop()

    assert left > 0
    assert dead == 0
