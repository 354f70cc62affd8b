"""What is kept alive on the connections to RabbitMQ, without any."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

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


def supervised() -> Supervisor:
    return Supervisor(
        URL("amqp://nowhere"), name="test", heartbeat=timedelta(seconds=5), publish_timeout=timedelta(seconds=1)
    )


def session() -> Any:
    """A connection that stands."""
    return SimpleNamespace(lost=asyncio.get_running_loop().create_future(), wire=SimpleNamespace(blocked=None))


async def test_a_connection_that_is_lost_and_back_while_others_are_waited_for_is_not_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    supervisor, before, after, other, consumer = supervised(), session(), session(), session(), Slow()
    monkeypatch.setattr(supervisor.publishing, "_session", before)
    monkeypatch.setattr(supervisor.consuming, "_session", other)
    supervisor.publisher.ready.set()
    supervisor.consumers.append(consumer)

    async with asyncio.timeout(2):
        standing = asyncio.create_task(supervisor._everything())
        await consumer.begun.wait()
        monkeypatch.setattr(supervisor.publishing, "_session", after)
        supervisor._change()
        consumer.left.set()
        sessions = await standing

    assert sessions == (after, other)


async def test_who_is_cancelled_while_it_begins_to_consume_leaves_no_consumer_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    supervisor = supervised()
    monkeypatch.setattr(supervisor.consuming, "_session", session())
    consumer = Slow()

    async with asyncio.timeout(2), asyncio.TaskGroup() as group:
        monkeypatch.setattr(supervisor, "_group", group)
        adding = asyncio.create_task(supervisor.add(consumer))
        await consumer.begun.wait()
        adding.cancel()

    assert adding.cancelled()
    assert consumer.cancelled
