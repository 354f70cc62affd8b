"""RabbitMQ itself stops, crashes, freezes, or runs out of memory: who uses it recovers by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import pytest

from backhaul.broker.rabbitmq import RabbitBroker, supervision
from backhaul.core.errors import BrokerUnavailable
from backhaul.core.messages.topology import Exchange, ExchangeKind, Queue, Topology, mailbox
from backhaul.core.ports.broker import Delivery
from tests.conformance.broker.ground import Ear, acking, connected, message, ready, to, until
from tests.support.rabbitmq import PrivateRabbitMQ

TOPOLOGY = Topology(
    exchanges=(Exchange("replies", ExchangeKind.DIRECT),), queues=(Queue("one"), Queue("two"), Queue("suite.quiet"))
)


@pytest.fixture
async def broker(private_rabbitmq: PrivateRabbitMQ) -> AsyncIterator[RabbitBroker]:
    await asyncio.to_thread(private_rabbitmq.start)
    broker = RabbitBroker(private_rabbitmq.url, name="outages", heartbeat=timedelta(seconds=1))
    await broker.start()
    await broker.declare(TOPOLOGY)
    for queue in ("one", "two"):
        for delivery in await broker.get(queue, 1000):
            delivery.ack()
    await private_rabbitmq.settle()
    yield broker
    await broker.stop()


@pytest.mark.parametrize("crash", [False, True], ids=["restart", "kill"])
async def test_publishers_and_consumers_recover_from_a_restart(
    broker: RabbitBroker, private_rabbitmq: PrivateRabbitMQ, crash: bool
) -> None:
    ear, confirmed, restarted = Ear(acking), set[bytes](), asyncio.Event()
    await broker.consume("one", ear, credit=10)

    async def publish() -> None:
        number = 0
        while not restarted.is_set() or number < 200:
            with suppress(BrokerUnavailable):
                await broker.publish([message(b"%d" % number, queue="one", message_id=str(number))])
                confirmed.add(b"%d" % number)
                number += 1
            await asyncio.sleep(0.002)

    publishing = asyncio.create_task(publish())
    await ear.count(20)
    await asyncio.to_thread(private_rabbitmq.kill if crash else private_rabbitmq.stop)
    await asyncio.to_thread(private_rabbitmq.start)
    await connected(broker)
    restarted.set()
    await publishing

    await until(lambda: _contains(ear, confirmed), "every confirmed message is heard")


async def test_a_mailbox_and_its_consumer_survive_a_restart(
    broker: RabbitBroker, private_rabbitmq: PrivateRabbitMQ
) -> None:
    await broker.declare(mailbox("replies", "me"))
    ear = Ear(acking)
    await broker.consume("replies.me", ear, credit=10)

    await asyncio.to_thread(private_rabbitmq.restart)
    await connected(broker)
    await broker.publish([to("replies", "me", b"hello", persistent=False)])

    assert (await ear.count(1))[0].body == b"hello"


async def test_a_mailbox_is_bound_again_when_its_exchange_was_deleted_and_made_anew(
    private_rabbitmq: PrivateRabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "_REFRESH", timedelta(milliseconds=100))
    await asyncio.to_thread(private_rabbitmq.start)
    vhost, ear = await private_rabbitmq.create_vhost(), Ear(acking)
    broker, operator = (RabbitBroker(vhost, name=name) for name in ("deaf", "operator"))
    await broker.start()
    await operator.start()
    await operator.declare(TOPOLOGY)
    own = mailbox("replies", "me")
    await broker.declare(own)
    await broker.consume("replies.me", ear, credit=10)

    await operator.unbind(own.bindings)

    async with asyncio.timeout(10):
        while not ear.heard:
            with suppress(BrokerUnavailable):
                await operator.publish([to("replies", "me", b"heard")])
    await operator.stop()
    await broker.stop()


async def test_a_subscription_survives_a_restart(broker: RabbitBroker, private_rabbitmq: PrivateRabbitMQ) -> None:
    heard: list[bytes] = []

    async def handle(delivery: Delivery) -> None:
        heard.append(delivery.body)

    await broker.subscribe("two", handle, credit=5)

    await asyncio.to_thread(private_rabbitmq.restart)
    await connected(broker)
    await broker.publish([message(b"hello", queue="two")])

    await until(lambda: _equal(heard, [b"hello"]), "the subscription goes on")


async def test_a_start_waits_for_a_broker_that_is_starting(private_rabbitmq: PrivateRabbitMQ) -> None:
    await asyncio.to_thread(private_rabbitmq.stop)
    broker = RabbitBroker(private_rabbitmq.url, name="early", start_timeout=timedelta(seconds=30))

    starting = asyncio.create_task(broker.start())
    await asyncio.to_thread(private_rabbitmq.start)
    await starting

    assert broker.connected
    await broker.stop()


async def test_a_frozen_broker_is_noticed_by_its_silence(
    broker: RabbitBroker, private_rabbitmq: PrivateRabbitMQ
) -> None:
    ear = Ear(acking)
    await broker.consume("one", ear, credit=10)

    await asyncio.to_thread(private_rabbitmq.freeze)
    await until(lambda: _disconnected(broker), "the silence is noticed")
    with pytest.raises(BrokerUnavailable):
        await broker.publish([message(b"lost", queue="one")])
    await asyncio.to_thread(private_rabbitmq.thaw)
    await connected(broker)
    await broker.publish([message(b"after", queue="one")])

    assert b"after" in [delivery.body for delivery in await ear.count(1)]


async def test_a_broker_without_memory_refuses_publishes_at_once_and_says_when_it_is_over(
    broker: RabbitBroker, private_rabbitmq: PrivateRabbitMQ
) -> None:
    rings: list[str] = []
    broker.on_reconnect(lambda: rings.append("back"))
    await private_rabbitmq.raise_memory_alarm()
    try:
        await until(lambda: _blocked(broker), "the alarm is noticed")  # RabbitMQ tells it to those who publish
        with pytest.raises(BrokerUnavailable, match="memory"):
            async with asyncio.timeout(0.5):
                await broker.publish([message(b"refused", queue="two")])
    finally:
        await private_rabbitmq.clear_memory_alarm()
    await connected(broker)

    await broker.publish([message(b"again", queue="one")])
    await until(lambda: _equal(rings, ["back"]), "the end of the alarm is told")


async def test_an_alarm_is_noticed_by_who_publishes_nothing(
    broker: RabbitBroker, private_rabbitmq: PrivateRabbitMQ, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await private_rabbitmq.raise_memory_alarm()
    try:
        await until(lambda: _disconnected(broker), "the alarm is noticed")
        blocked = broker.blocked
    finally:
        await private_rabbitmq.clear_memory_alarm()
    await connected(broker)

    told = [record.message for record in caplog.records if "takes" in record.message]
    assert (blocked, broker.blocked) == ("low on memory", None)
    assert len(told) == 2
    assert "takes no messages now (low on memory): make room" in told[0]
    assert "takes messages of outages (publish) again" in told[1]


async def test_an_operator_who_closes_connections_interrupts_nothing_for_long(
    broker: RabbitBroker, private_rabbitmq: PrivateRabbitMQ
) -> None:
    ear = Ear(acking)
    rings: list[str] = []
    broker.on_reconnect(lambda: rings.append("back"))
    await broker.consume("one", ear, credit=10)

    await private_rabbitmq.drop_connections()
    await until(lambda: _equal(rings, ["back"]), "the connection is restored")
    await broker.publish([message(b"after", queue="one")])

    assert (await ear.count(1))[0].body == b"after"


async def test_a_publish_that_is_not_confirmed_in_time_is_unavailable(
    broker: RabbitBroker, private_rabbitmq: PrivateRabbitMQ
) -> None:
    hasty = RabbitBroker(private_rabbitmq.url, name="hasty", publish_timeout=timedelta(milliseconds=200))
    await hasty.start()

    await asyncio.to_thread(private_rabbitmq.freeze)
    with pytest.raises(BrokerUnavailable, match="publish them again as they were"):
        await hasty.publish([message(b"late", queue="one")])
    await asyncio.to_thread(private_rabbitmq.thaw)

    await ready(hasty, "one", 1)
    await hasty.stop()


async def test_a_queue_that_exists_but_does_not_work_is_told(
    broker: RabbitBroker, private_rabbitmq: PrivateRabbitMQ
) -> None:
    lost: list[str] = []
    await broker.consume("one", Ear(), credit=1, on_lost=lambda: lost.append("lost"))
    mute = Topology(queues=(Queue("mute"), Queue("one")))
    await broker.declare(mute)
    await private_rabbitmq.evaluate("ra:stop_server(quorum_queues, {'%2F_mute', node()})")

    [misfit] = await broker.check(mute)

    assert lost == []
    assert (misfit.thing, misfit.fact) == ("queue mute", "exists, but does not answer")
    assert "rabbitmqctl delete_queue" in misfit.remedy
    await private_rabbitmq.evaluate("ra:restart_server(quorum_queues, {'%2F_mute', node()})")
    await until(lambda: _fits(broker, mute), "the queue answers again")


async def _fits(broker: RabbitBroker, topology: Topology) -> bool:
    return await broker.check(topology) == []


async def _blocked(broker: RabbitBroker) -> bool:
    with suppress(BrokerUnavailable, TimeoutError):
        async with asyncio.timeout(0.1):
            await broker.publish([message(b"x", queue="two")])
    return not broker.connected


async def _contains(ear: Ear, bodies: set[bytes]) -> bool:
    return bodies <= set(ear.bodies)


async def _equal(left: list[bytes] | list[str], right: list[bytes] | list[str]) -> bool:
    return left == right


async def _disconnected(broker: RabbitBroker) -> bool:
    return not broker.connected
