"""What is kept alive on the connections to RabbitMQ, without any."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace

import pytest
from yarl import URL

from backhaul.broker.rabbitmq.supervision import Supervisor


class Slow:
    """A consumer that RabbitMQ takes long to put in place."""

    queue = "backhaul.tasks.slow"
    refused = False

    def __init__(self) -> None:
        self.cancelled = False
        self.begun, self.left = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        await self.left.wait()

    async def cancel(self) -> None:
        self.cancelled = True
        self.left.set()

    async def tried(self) -> None:
        self.begun.set()
        await self.left.wait()


async def test_who_is_cancelled_while_it_begins_to_consume_leaves_no_consumer_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    supervisor = Supervisor(
        URL("amqp://nowhere"), name="test", heartbeat=timedelta(seconds=5), publish_timeout=timedelta(seconds=1)
    )
    session = SimpleNamespace(lost=asyncio.get_running_loop().create_future())
    monkeypatch.setattr(supervisor.consuming, "_session", session)
    consumer = Slow()

    async with asyncio.timeout(2), asyncio.TaskGroup() as group:
        monkeypatch.setattr(supervisor, "_group", group)
        adding = asyncio.create_task(supervisor.add(consumer))
        await consumer.begun.wait()
        adding.cancel()

    assert adding.cancelled()
    assert consumer.cancelled
