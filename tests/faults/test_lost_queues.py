"""Queues are deleted under those who use them: they are declared anew, and work goes on by itself."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from backhaul.broker.rabbitmq import RabbitBroker
from backhaul.core.messages import topology
from backhaul.core.ports.broker import Message
from tests.acceptance.deployment import Deployment, Role, answers, submitted, succeeded
from tests.acceptance.pace import listening
from tests.support.rabbitmq import PrivateRabbitMQ

pytestmark = pytest.mark.timeout(150)

LEASE = {"BACKHAUL_LEASE": "3s", "BACKHAUL_HEARTBEAT": "1s"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(private_rabbitmq: PrivateRabbitMQ, module_database_url: str) -> AsyncIterator[Deployment]:
    """One for all tests: it has to outlive the loss of each queue."""
    async with Deployment(await private_rabbitmq.create_vhost(), module_database_url, **LEASE) as deployment:
        yield deployment


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(deployment: Deployment) -> Role:
    return await deployment.at_work()


@pytest.mark.parametrize(
    "queue",
    [
        topology.task_queue("probe"),
        topology.CLAIMS,
        topology.BEATS,
        topology.ledger_queue(0),
        f"{topology.REPLIES}.",
        f"{topology.CONTROL}.",
        f"{topology.LIVE}.",
    ],
)
async def test_a_queue_that_was_deleted_is_declared_anew_and_work_goes_on(
    gateway: Role, deployment: Deployment, private_rabbitmq: PrivateRabbitMQ, queue: str
) -> None:
    async with listening() as pace:
        running = await submitted(gateway, "probe.steps", port=pace.port, count=2)
        walker = await pace.walker()
        await walker.step()

        for name in await private_rabbitmq.queues(deployment.amqp_url):
            if name.startswith(queue):
                await private_rabbitmq.delete_queue(deployment.amqp_url, name)
        later = await submitted(gateway)
        await walker.step()

        assert (await succeeded(gateway, running))["attempt"] == 1
        await succeeded(gateway, later)


async def test_a_submit_queue_that_was_deleted_takes_tasks_again(
    gateway: Role, deployment: Deployment, private_rabbitmq: PrivateRabbitMQ
) -> None:
    await private_rabbitmq.delete_queue(deployment.amqp_url, topology.SUBMIT)
    async with asyncio.timeout(30):
        while topology.SUBMIT not in await private_rabbitmq.queues(deployment.amqp_url):
            await asyncio.sleep(0.1)  # the broker can only be asked
    broker = RabbitBroker(deployment.amqp_url, name="publisher")
    await broker.start()

    message = Message(
        exchange=topology.SUBMIT,
        routing_key="probe.echo",
        body=b'{"value":"direct"}',
        content_type="application/json",
        message_id="direct-1",
    )
    await broker.publish([message])

    await answers(f"{gateway.url}/v1/tasks?key=direct-1&status=succeeded", lambda page: page["data"])
    await broker.stop()
