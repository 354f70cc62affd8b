"""What a consumer promises: credit, settling, and changing both while messages are under way."""

import asyncio
import random

from backhaul.core.messages.topology import Queue, Topology
from backhaul.core.ports.broker import Broker, Delivery
from tests.conformance.broker.ground import Ear, Ground, acking, message, quiet, ready


async def test_at_most_credit_deliveries_are_out(broker: Broker) -> None:
    await _fill(broker, 5)
    ear = Ear()

    await broker.consume("one", ear, credit=2)

    await ear.count(2)
    await quiet(broker)
    assert ear.bodies == [b"0", b"1"]
    await ready(broker, "one", 3)


async def test_settling_a_delivery_lets_the_next_one_come(broker: Broker) -> None:
    await _fill(broker, 5)
    ear = Ear()
    await broker.consume("one", ear, credit=2)
    await ear.count(2)

    ear.heard[1].ack()

    await ear.count(3)
    await quiet(broker)
    assert ear.bodies == [b"0", b"1", b"2"]


async def test_an_acknowledged_delivery_is_forgotten(broker: Broker) -> None:
    await _fill(broker, 30)
    ear = Ear(acking)
    subscription = await broker.consume("one", ear, credit=10)
    await ear.count(30)

    await subscription.cancel()

    await quiet(broker)
    assert await broker.get("one", 1) == []


async def test_deliveries_are_acknowledged_in_any_order(broker: Broker) -> None:
    await _fill(broker, 9)
    ear = Ear()
    subscription = await broker.consume("one", ear, credit=9)
    await ear.count(9)

    for number in (3, 0, 1, 7, 8, 4):
        ear.heard[number].ack()
    await quiet(broker)
    ear.heard[5].requeue()
    await subscription.cancel()
    for number in (2, 6):
        ear.heard[number].requeue()

    await ready(broker, "one", 3)
    assert [delivery.body for delivery in await broker.get("one", 9)] in ([b"2", b"5", b"6"], [b"5", b"2", b"6"])


async def test_a_requeued_delivery_comes_again_and_says_so(broker: Broker) -> None:
    await _fill(broker, 1)
    ear = Ear()
    await broker.consume("one", ear, credit=1)
    await ear.count(1)

    ear.heard[0].requeue()

    await ear.count(2)
    assert [delivery.redelivered for delivery in ear.heard] == [False, True]
    assert ear.bodies == [b"0", b"0"]


async def test_settling_twice_is_harmless(broker: Broker) -> None:
    await _fill(broker, 4)
    ear = Ear()
    await broker.consume("one", ear, credit=2)
    await ear.count(2)

    ear.heard[0].ack()
    ear.heard[0].ack()
    ear.heard[0].requeue()

    await ear.count(3)
    await quiet(broker)
    assert ear.bodies == [b"0", b"1", b"2"]
    for delivery in ear.heard[1:]:
        delivery.ack()
    assert (await ear.count(4))[3].body == b"3"


async def test_two_consumers_share_a_queue(ground: Ground, broker: Broker) -> None:
    here, there = Ear(acking), Ear(acking)
    await broker.consume("one", here, credit=1)
    await (await ground.broker()).consume("one", there, credit=1)

    for number in range(40):
        await broker.publish([message(b"%d" % number, queue="one")])

    await ready(broker, "one", 0)
    await quiet(broker)
    assert sorted(here.bodies + there.bodies) == sorted(b"%d" % number for number in range(40))
    assert here.heard
    assert there.heard


async def test_only_one_consumer_is_active_and_the_next_takes_over(ground: Ground, broker: Broker) -> None:
    await broker.declare(Topology(queues=(Queue("alone", single_active_consumer=True),)))
    first, second = Ear(acking), Ear(acking)
    active = await broker.consume("alone", first, credit=5)
    await (await ground.broker()).consume("alone", second, credit=5)
    await broker.publish([message(b"%d" % number, queue="alone") for number in range(10)])
    await first.count(10)

    await active.cancel()
    await broker.publish([message(b"after", queue="alone")])

    await second.count(1)
    assert second.bodies == [b"after"]
    assert len(first.heard) == 10


async def test_a_cancelled_consumer_hears_nothing_and_can_still_settle(broker: Broker) -> None:
    await _fill(broker, 3)
    ear = Ear()
    subscription = await broker.consume("one", ear, credit=2)
    await ear.count(2)

    await subscription.cancel()
    ear.heard[0].ack()
    ear.heard[1].requeue()

    await ready(broker, "one", 2)
    assert len(ear.heard) == 2
    await subscription.cancel()


async def test_a_cancel_right_after_the_last_acknowledgement_loses_nothing(broker: Broker) -> None:
    await _fill(broker, 3)
    ear, lost = Ear(), []
    subscription = await broker.consume("one", ear, credit=3, on_lost=lambda: lost.append("lost"))
    await ear.count(3)

    for delivery in ear.heard:
        delivery.ack()
    await subscription.cancel()

    await quiet(broker)
    assert (await broker.ready("one"), lost) == (0, [])


async def test_consuming_a_queue_begins_when_it_is_there(broker: Broker) -> None:
    ear = Ear(acking)
    await broker.consume("later", ear, credit=5)

    await broker.declare(Topology(queues=(Queue("later"),)))
    await broker.publish([message(b"now", queue="later")])

    assert [delivery.body for delivery in await ear.count(1)] == [b"now"]


async def test_a_resize_counts_beside_what_is_held(broker: Broker) -> None:
    await _fill(broker, 9)
    ear = Ear()
    subscription = await broker.consume("one", ear, credit=2)
    await ear.count(2)

    await subscription.resize(lambda: 3)

    await ear.count(5)
    await quiet(broker)
    assert len(ear.heard) == 5


async def test_settling_what_was_held_at_a_resize_lets_nothing_come(broker: Broker) -> None:
    await _fill(broker, 9)
    ear = Ear()
    subscription = await broker.consume("one", ear, credit=2)
    await ear.count(2)
    await subscription.resize(lambda: 1)
    await ear.count(3)

    for delivery in ear.heard[:2]:
        delivery.ack()
    await quiet(broker)
    held_before = len(ear.heard)
    ear.heard[2].ack()

    assert held_before == 3
    await ear.count(4)
    await quiet(broker)
    assert ear.bodies == [b"0", b"1", b"2", b"3"]


async def test_a_resize_to_nothing_stops_deliveries_until_the_next(broker: Broker) -> None:
    ear = Ear(acking)
    subscription = await broker.consume("one", ear, credit=5)

    await subscription.resize(lambda: 0)
    await _fill(broker, 3)
    await quiet(broker)
    while_paused = len(ear.heard)
    await subscription.resize(lambda: 2)

    assert while_paused == 0
    assert [delivery.body for delivery in await ear.count(3)] == [b"0", b"1", b"2"]


async def test_a_consumer_may_begin_with_no_credit(broker: Broker) -> None:
    await _fill(broker, 2)
    ear = Ear()
    subscription = await broker.consume("one", ear, credit=0)
    await quiet(broker)
    at_first = len(ear.heard)

    await subscription.resize(lambda: 1)

    assert at_first == 0
    assert [delivery.body for delivery in await ear.count(1)] == [b"0"]


async def test_resizes_under_load_never_let_more_be_out_than_there_are_slots(broker: Broker) -> None:
    slots, chance = 7, random.Random(4)
    out: set[Delivery] = set()
    most = 0

    def arrive(delivery: Delivery) -> None:
        nonlocal most
        out.add(delivery)
        most = max(most, len(out))

    ear = Ear(arrive)
    subscription = await broker.consume("one", ear, credit=slots)
    publishing = asyncio.create_task(_fill(broker, 400, batch=4))
    while not publishing.done() or out or len(ear.heard) < 400:
        for delivery in [held for held in out if chance.random() < 0.6]:
            out.discard(delivery)
            delivery.ack()
        await subscription.resize(lambda: slots - len(out))
        await asyncio.sleep(0)
    await publishing

    assert sorted(ear.bodies) == sorted(b"%d" % number for number in range(400))
    assert 3 <= most <= slots


async def test_taking_messages_leaves_those_that_are_requeued_in_their_order(broker: Broker) -> None:
    await _fill(broker, 5)

    taken = await broker.get("one", 3)
    for delivery in taken:
        delivery.requeue()
    await ready(broker, "one", 5)
    again = await broker.get("one", 10)

    assert [delivery.body for delivery in taken] == [b"0", b"1", b"2"]
    assert [delivery.body for delivery in again] == [b"0", b"1", b"2", b"3", b"4"]
    for delivery in again:
        delivery.ack()
    await quiet(broker)
    assert await broker.ready("one") == 0


async def test_a_consumer_that_fails_gets_the_delivery_again_and_harms_no_other(broker: Broker) -> None:
    def fail(delivery: Delivery) -> None:
        if not delivery.redelivered:
            raise RuntimeError("a fault in the consumer")
        delivery.ack()

    failing, other = Ear(fail), Ear(acking)
    await broker.consume("one", failing, credit=1)
    await broker.consume("two", other, credit=1)

    await broker.publish([message(b"a", queue="one"), message(b"b", queue="two")])

    await failing.count(2)
    await other.count(1)
    assert broker.connected


async def _fill(broker: Broker, number: int, *, batch: int = 100) -> None:
    messages = [message(b"%d" % n, queue="one") for n in range(number)]
    for start in range(0, number, batch):
        await broker.publish(messages[start : start + batch])
