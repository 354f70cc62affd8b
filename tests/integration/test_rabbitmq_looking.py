"""Looking at dead letters on a RabbitMQ that stands still, and by processes that die."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator

import aio_pika
import pytest

from backhaul.broker.rabbitmq import RabbitBroker
from backhaul.core.errors import BrokerUnavailable
from backhaul.core.messages import topology
from backhaul.core.messages.deadletters import QUEUES
from backhaul.core.ports.broker import Delivery
from tests.conformance.broker.ground import connected, message, ready, until
from tests.support.rabbitmq import PrivateRabbitMQ

QUEUE = topology.INVALID
ANY = 2**40

HOLDER = """
import asyncio, sys
from backhaul.broker.rabbitmq import RabbitBroker

async def main():
    broker = RabbitBroker(sys.argv[1], name="holder")
    await broker.start()
    async with broker.look(sys.argv[2], lambda delivery: True, most=1000, heaviest=2**40) as look:
        look.wanted[0].ack()
        print(len(look.wanted), flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
async def url(private_rabbitmq: PrivateRabbitMQ) -> AsyncIterator[str]:
    url = await private_rabbitmq.create_vhost()
    yield url
    await private_rabbitmq.drop_vhost(url)


@pytest.fixture
async def broker(url: str) -> AsyncIterator[RabbitBroker]:
    broker = RabbitBroker(url, name="gateway")
    await broker.start()
    await broker.declare(topology.platform(1))
    yield broker
    await broker.stop()


async def seen(broker: RabbitBroker) -> list[bytes]:
    bodies: list[bytes] = []

    def see(delivery: Delivery) -> bool:
        bodies.append(delivery.body)
        return False

    async with broker.look(QUEUE, see, most=20_000, heaviest=ANY):
        return bodies


async def fill(broker: RabbitBroker, number: int) -> list[bytes]:
    bodies = [b"%d" % n for n in range(number)]
    await broker.publish([message(body, queue=QUEUE) for body in bodies])
    return bodies


async def test_a_look_held_by_a_process_that_is_killed_hides_nothing_for_long(broker: RabbitBroker, url: str) -> None:
    bodies = await fill(broker, 100)
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, url, QUEUE, stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"100\n"
    with pytest.raises(BrokerUnavailable, match="others look through backhaul"):
        await seen(broker)

    holder.kill()
    await holder.wait()

    await ready(broker, QUEUE, 100)
    assert sorted(await seen(broker)) == sorted(bodies)


async def test_a_look_at_a_broker_that_stands_still_gives_up_in_time(
    broker: RabbitBroker, private_rabbitmq: PrivateRabbitMQ
) -> None:
    bodies = await fill(broker, 3)
    await asyncio.to_thread(private_rabbitmq.freeze)
    started = time.monotonic()

    with pytest.raises(BrokerUnavailable):
        await seen(broker)

    took = time.monotonic() - started
    await asyncio.to_thread(private_rabbitmq.thaw)
    await connected(broker)
    assert took < 2

    async def again() -> bool:
        return await seen(broker) == bodies

    await until(again, "everything is seen again")


async def test_ten_thousand_letters_are_all_seen(broker: RabbitBroker) -> None:
    bodies = await fill(broker, 10_000)

    assert await seen(broker) == bodies
    assert await seen(broker) == bodies


@pytest.mark.parametrize("queue", QUEUES)
async def test_a_queue_of_dead_letters_declared_otherwise_is_named_by_the_check(amqp_url: str, queue: str) -> None:
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(queue, durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": 20})
    broker = RabbitBroker(amqp_url, name="check")
    await broker.start()

    misfits = await broker.check(topology.platform(1))

    assert "has other properties" in {misfit.thing: misfit.fact for misfit in misfits}[f"queue {queue}"]
    await broker.stop()
