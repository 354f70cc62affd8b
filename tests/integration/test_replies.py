"""Replies on RabbitMQ: a publisher's queue is its own affair, whatever becomes of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aio_pika
import pytest

from backhaul import Service
from backhaul.broker.rabbitmq import RabbitBroker
from backhaul.core.clock import SystemClock
from backhaul.settings import Settings
from backhaul.store import upgrade
from backhaul.wiring import open_store
from backhaul.wiring.inprocess import InProcess, in_process

pytestmark = pytest.mark.timeout(90)

service = Service("echo", version="1.0.0")


@service.handler("echo.say")
async def say(word: str) -> str:
    return word


@asynccontextmanager
async def platform(amqp_url: str, database_url: str) -> AsyncIterator[InProcess]:
    clock, settings = SystemClock(), Settings(drain_grace=timedelta(seconds=1))
    await asyncio.to_thread(upgrade, database_url)
    store = open_store(settings, clock, url=database_url)
    broker = RabbitBroker(amqp_url, name="replies")
    async with in_process([service], store, broker, settings=settings, clock=clock) as running:
        yield running


class Shop:
    """A publisher with a queue of its own."""

    def __init__(self, channel: aio_pika.abc.AbstractChannel) -> None:
        self._channel = channel

    async def queue(self, name: str, arguments: Mapping[str, Any] | None = None) -> aio_pika.abc.AbstractQueue:
        return await self._channel.declare_queue(name, arguments=dict(arguments or {}))

    async def submit(self, key: str, reply_to: str) -> None:
        exchange = await self._channel.get_exchange("backhaul.submit")
        message = aio_pika.Message(
            json.dumps(key).encode(),
            content_type="application/json",
            message_id=key,
            reply_to=reply_to,
            correlation_id=f"of {key}",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await exchange.publish(message, routing_key="echo.say", mandatory=True)


async def told(queue: aio_pika.abc.AbstractQueue, count: int) -> list[tuple[str | None, str, Any]]:
    """Correlation id, type and result of the next events."""
    found = []
    async with asyncio.timeout(30), queue.iterator(no_ack=True) as messages:
        async for message in messages:
            event = json.loads(message.body)
            assert message.delivery_mode is aio_pika.DeliveryMode.PERSISTENT
            found.append((message.correlation_id, event["type"].removeprefix("dev.backhaul."), event["data"]["result"]))
            if len(found) == count:
                return found
    return found


async def test_a_publisher_on_rabbitmq_is_told_of_the_end(amqp_url: str, database_url: str) -> None:
    async with platform(amqp_url, database_url), await aio_pika.connect(amqp_url) as connection:
        shop = Shop(await connection.channel())
        queue = await shop.queue("shop")

        await shop.submit("one", "shop")

        assert await told(queue, 2) == [("of one", "task.accepted", None), ("of one", "task.succeeded", "one")]


async def test_a_queue_that_is_full_or_gone_holds_up_nobody(amqp_url: str, database_url: str) -> None:
    async with platform(amqp_url, database_url) as running, await aio_pika.connect(amqp_url) as connection:
        shop = Shop(await connection.channel())
        await shop.queue("full", {"x-max-length": 1, "x-overflow": "reject-publish"})
        queue = await shop.queue("shop")

        for key, reply_to in (("one", "full"), ("two", "nowhere"), ("three", "full"), ("four", "shop")):
            await shop.submit(key, reply_to)

        assert await told(queue, 2) == [("of four", "task.accepted", None), ("of four", "task.succeeded", "four")]
        async with asyncio.timeout(30):
            while await running.platform.store.owed(timedelta(0), 10):
                await asyncio.sleep(0.1)
