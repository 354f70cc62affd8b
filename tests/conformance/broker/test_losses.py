"""What holds when connections are lost."""

import asyncio
from contextlib import suppress

import pytest

from backhaul.core.errors import BrokerUnavailable
from backhaul.core.messages.topology import Exchange, ExchangeKind, Queue, Topology, mailbox
from backhaul.core.ports.broker import Broker
from tests.conformance.broker.ground import Ear, Ground, acking, connected, message, quiet, ready, to, until


class Bell:
    """A callback that can be awaited."""

    def __init__(self) -> None:
        self.rings = 0

    def __call__(self) -> None:
        self.rings += 1

    async def rung(self, times: int = 1) -> None:
        async def reached() -> bool:
            return self.rings >= times

        await until(reached, f"it rang {times} times")


async def test_what_was_held_at_a_loss_is_delivered_again(ground: Ground, broker: Broker) -> None:
    ear, lost = Ear(), Bell()
    await broker.consume("one", ear, credit=2, on_lost=lost)
    await broker.publish([message(b"%d" % number, queue="one") for number in range(4)])
    await ear.count(2)

    await ground.cut()

    await ear.count(4)
    assert lost.rings == 1
    assert ear.bodies == [b"0", b"1", b"0", b"1"]
    assert [delivery.redelivered for delivery in ear.heard] == [False, False, True, True]


async def test_the_loss_is_told_before_anything_is_delivered_again(ground: Ground, broker: Broker) -> None:
    story: list[str] = []
    ear = Ear(lambda delivery: story.append(delivery.body.decode()))
    await broker.consume("one", ear, credit=1, on_lost=lambda: story.append("lost"))
    await broker.publish([message(b"a", queue="one")])
    await ear.count(1)

    await ground.cut()

    await ear.count(2)
    assert story == ["a", "lost", "a"]


async def test_settling_after_a_loss_does_nothing(ground: Ground, broker: Broker) -> None:
    ear, back = Ear(), Bell()
    broker.on_reconnect(back)
    await broker.consume("one", ear, credit=2)
    await broker.publish([message(b"a", queue="one"), message(b"b", queue="one")])
    void = list(await ear.count(2))

    await ground.cut()
    await back.rung()
    for delivery in void:
        delivery.ack()
    await ear.count(4)
    await quiet(broker)

    assert ear.bodies == [b"a", b"b", b"a", b"b"]
    await ground.cut()
    await back.rung(2)
    assert all(delivery.redelivered for delivery in (await ear.count(6))[4:])


async def test_consuming_goes_on_with_the_last_credit(ground: Ground, broker: Broker) -> None:
    ear, back = Ear(), Bell()
    broker.on_reconnect(back)
    subscription = await broker.consume("one", ear, credit=5)
    await subscription.resize(lambda: 2)

    await ground.cut()
    await back.rung()
    await broker.publish([message(b"%d" % number, queue="one") for number in range(4)])

    await ear.count(2)
    await quiet(broker)
    assert ear.bodies == [b"0", b"1"]


async def test_a_credit_that_was_resized_while_there_was_no_connection_counts_later(
    ground: Ground, broker: Broker
) -> None:
    ear, back = Ear(), Bell()
    broker.on_reconnect(back)
    subscription = await broker.consume("one", ear, credit=5)
    await broker.publish([message(b"%d" % number, queue="one") for number in range(4)])
    await ear.count(4)

    await ground.down()
    await subscription.resize(lambda: 1)
    await ground.up()
    await back.rung()

    await ear.count(5)
    await quiet(broker)
    assert ear.bodies[4:] == [b"0"]


async def test_a_consumer_cancelled_while_there_is_no_connection_stays_cancelled(
    ground: Ground, broker: Broker
) -> None:
    ear, back = Ear(acking), Bell()
    broker.on_reconnect(back)
    subscription = await broker.consume("one", ear, credit=5)

    await ground.down()
    await subscription.cancel()
    await ground.up()
    await back.rung()
    await broker.publish([message(b"late", queue="one")])
    await quiet(broker)

    assert ear.heard == []
    await ready(broker, "one", 1)


async def test_publishing_without_a_connection_fails_at_once_and_works_again_later(
    ground: Ground, broker: Broker
) -> None:
    back = Bell()
    broker.on_reconnect(back)

    await ground.down()
    await until(lambda: _not_connected(broker), "the loss is noticed")
    with pytest.raises(BrokerUnavailable):
        async with asyncio.timeout(0.5):
            await broker.publish([message(b"lost", queue="one")])
    await ground.up()
    await back.rung()

    assert broker.connected
    await broker.publish([message(b"kept", queue="one")])
    await ready(broker, "one", 1)


async def test_no_confirmed_message_is_lost_over_many_losses(ground: Ground, broker: Broker) -> None:
    ear = Ear(acking)
    await broker.consume("one", ear, credit=20)
    confirmed: list[bytes] = []

    async def publish() -> None:
        for number in range(150):
            body = b"%d" % number
            while body not in confirmed:
                with suppress(BrokerUnavailable):
                    await broker.publish([message(body, queue="one", message_id=body.decode())])
                    confirmed.append(body)
                await asyncio.sleep(0.001)

    publishing = asyncio.create_task(publish())
    while not publishing.done():
        await until(lambda: _grown(confirmed, publishing), "publishing goes on")
        await ground.cut()
    await publishing

    async def all_heard() -> bool:
        return set(ear.bodies) == set(confirmed)

    assert len(confirmed) == 150
    await until(all_heard, "every confirmed message is heard")


async def test_a_mailbox_is_there_again_after_a_loss(ground: Ground, broker: Broker) -> None:
    await broker.declare(Topology(exchanges=(Exchange("replies", ExchangeKind.DIRECT),)))
    await broker.declare(mailbox("replies", "me"))
    ear, back = Ear(acking), Bell()
    broker.on_reconnect(back)
    await broker.consume("replies.me", ear, credit=5)

    await ground.cut()
    await back.rung()
    await broker.publish([to("replies", "me", b"hello", persistent=False)])

    assert [delivery.body for delivery in await ear.count(1)] == [b"hello"]


async def test_a_start_that_needs_no_broker_returns_and_connects_later(ground: Ground) -> None:
    broker, back = ground.make(), Bell()
    broker.on_reconnect(back)
    ear = Ear(acking)
    await ground.down()

    await broker.start(required=False)
    was_connected = broker.connected
    with suppress(BrokerUnavailable):
        await broker.declare(mailbox("backhaul.none", "x", keys=()))
    await broker.consume("backhaul.none.x", ear, credit=5)
    await ground.up()
    await back.rung()
    await broker.publish([message(b"hello", queue="backhaul.none.x", persistent=False)])

    assert not was_connected
    assert [delivery.body for delivery in await ear.count(1)] == [b"hello"]
    assert broker.reconnects == 0
    await ground.cut()
    await back.rung(2)
    assert broker.reconnects == 1


async def test_a_start_that_needs_the_broker_says_that_it_is_down(ground: Ground) -> None:
    broker = ground.make()
    await ground.down()

    with pytest.raises(BrokerUnavailable):
        await broker.start()

    await ground.up()
    await broker.start()
    await connected(broker)


async def test_the_first_connection_is_not_told_as_a_restored_one(ground: Ground) -> None:
    broker, back = ground.make(), Bell()
    broker.on_reconnect(back)

    await broker.start()
    await broker.declare(Topology(queues=(Queue("suite.quiet"),)))
    await quiet(broker)

    assert (back.rings, broker.reconnects) == (0, 0)


async def test_stopping_gives_back_what_is_held(ground: Ground, broker: Broker) -> None:
    ear = Ear()
    other = await ground.broker()
    await other.consume("one", ear, credit=5)
    await broker.publish([message(b"a", queue="one"), message(b"b", queue="one")])
    await ear.count(2)

    await other.stop()

    await ready(broker, "one", 2)


async def test_an_acknowledgement_just_before_the_stop_counts(ground: Ground, broker: Broker) -> None:
    ear = Ear()
    other = await ground.broker()
    await other.consume("one", ear, credit=5)
    await broker.publish([message(b"a", queue="one"), message(b"b", queue="one")])
    await ear.count(2)

    for delivery in ear.heard:
        delivery.ack()
    await other.stop()

    await quiet(broker)
    assert await broker.ready("one") == 0


async def _not_connected(broker: Broker) -> bool:
    return not broker.connected


async def _grown(confirmed: list[bytes], publishing: "asyncio.Task[None]") -> bool:
    before = len(confirmed)
    while len(confirmed) < before + 20 and not publishing.done():
        await asyncio.sleep(0.001)
    return True
