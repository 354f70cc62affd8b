"""Queues are deleted at the worst of moments, just before a ledger looks: who heard them must hear them again."""

from collections.abc import AsyncIterator

import pytest

from backhaul.broker.rabbitmq import RabbitBroker
from backhaul.core.clock import SystemClock
from backhaul.core.messages import topology
from backhaul.core.messages.announcements import spare_tokens
from backhaul.core.ports.broker import Delivery, Message
from backhaul.ledger.restorer import Restorer
from backhaul.ledger.taskqueues import TaskQueues
from tests.conformance.broker.ground import Ear, acking
from tests.support.rabbitmq import PrivateRabbitMQ

SUBMISSION = Message(exchange=topology.SUBMIT, routing_key="any.kind", body=b"{}", content_type="application/json")


@pytest.fixture
async def url(private_rabbitmq: PrivateRabbitMQ) -> str:
    return await private_rabbitmq.create_vhost()


@pytest.fixture
async def broker(url: str) -> AsyncIterator[RabbitBroker]:
    broker = RabbitBroker(url, name="deleted queues")
    await broker.start()
    await broker.declare(topology.platform(1))
    yield broker
    await broker.stop()


@pytest.mark.parametrize("way", ["consume", "subscribe"])
async def test_a_queue_of_the_platform_is_heard_again(
    broker: RabbitBroker, url: str, private_rabbitmq: PrivateRabbitMQ, way: str
) -> None:
    ear = Ear(acking)

    async def handle(delivery: Delivery) -> None:
        ear(delivery)

    if way == "consume":
        await broker.consume(topology.SUBMIT, ear, credit=10)
    else:
        await broker.subscribe(topology.SUBMIT, handle, credit=10)

    await private_rabbitmq.delete_queue(url, topology.SUBMIT)
    await Restorer(broker, SystemClock(), shards=1).restore()

    await broker.publish([SUBMISSION])
    await ear.count(1)


async def test_a_queue_of_tokens_is_heard_again(
    broker: RabbitBroker, url: str, private_rabbitmq: PrivateRabbitMQ
) -> None:
    ear, queues = Ear(acking), TaskQueues(broker, SystemClock())
    await queues.declare(["digest"])
    await broker.consume(topology.task_queue("digest"), ear, credit=10)

    await private_rabbitmq.delete_queue(url, topology.task_queue("digest"))
    await queues.ready(["digest"])

    await broker.publish(spare_tokens("digest", 1))
    await ear.count(1)
