"""What a publish promises."""

import asyncio
from datetime import timedelta

import pytest

from backhaul.core.errors import BrokerUnavailable, Unroutable
from backhaul.core.messages.topology import Binding, Exchange, ExchangeKind, Topology, mailbox
from backhaul.core.ports.broker import Broker, Message
from tests.conformance.broker.ground import Ear, Ground, acking, message, ready, to


async def test_a_message_arrives_as_it_was_sent(broker: Broker) -> None:
    sent = Message(
        exchange="",
        routing_key="one",
        body="größer".encode(),
        content_type="application/cloudevents+json",
        message_id="m-1",
        reply_to="two",
        correlation_id="c-1",
        priority=7,
        expiration=timedelta(seconds=90),
        headers={"text": "ä", "number": 5, "large": 1 << 40, "part": 0.5, "flag": True},
    )
    ear = Ear(acking)
    await broker.consume("one", ear, credit=1)

    await broker.publish([sent])

    [delivery] = await ear.count(1)
    assert (delivery.body, delivery.content_type) == (sent.body, sent.content_type)
    assert (delivery.exchange, delivery.routing_key) == ("", "one")
    assert (delivery.message_id, delivery.correlation_id, delivery.reply_to) == ("m-1", "c-1", "two")
    assert (delivery.priority, delivery.expiration) == (7, timedelta(seconds=90))
    assert dict(delivery.headers) == dict(sent.headers)
    assert not delivery.redelivered


async def test_what_a_message_does_not_carry_is_none(broker: Broker) -> None:
    ear = Ear(acking)
    await broker.consume("one", ear, credit=1)

    await broker.publish([message(b"", queue="one")])

    [delivery] = await ear.count(1)
    assert delivery.body == b""
    assert (delivery.message_id, delivery.correlation_id, delivery.reply_to, delivery.user_id) == (None,) * 4
    assert (delivery.priority, delivery.expiration, dict(delivery.headers)) == (None, None, {})


async def test_a_publish_that_returned_is_in_its_queue(broker: Broker) -> None:
    await broker.publish([message(b"%d" % number, queue="one") for number in range(20)])

    taken = await broker.get("one", 100)

    assert [delivery.body for delivery in taken] == [b"%d" % number for number in range(20)]
    for delivery in taken:
        delivery.ack()


async def test_messages_of_one_publisher_stay_in_order(broker: Broker) -> None:
    ear = Ear(acking)
    await broker.consume("one", ear, credit=50)

    for batch in range(40):
        await broker.publish([message(b"%d" % (batch * 25 + number), queue="one") for number in range(25)])

    await ear.count(1000)
    assert ear.bodies == [b"%d" % number for number in range(1000)]


async def test_publishes_at_the_same_time_are_all_confirmed(broker: Broker) -> None:
    ear = Ear(acking)
    await broker.consume("one", ear, credit=100)

    await asyncio.gather(
        *(broker.publish([message(b"%d.%d" % (call, n), queue="one") for n in range(3)]) for call in range(200))
    )

    await ear.count(600)
    assert len(set(ear.bodies)) == 600


async def test_publishing_nothing_is_done_at_once(broker: Broker) -> None:
    await broker.publish([])

    assert await broker.ready("one") == 0


async def test_a_body_of_three_mebibytes_arrives_whole(broker: Broker) -> None:
    body = bytes(range(256)) * (3 * 4096)
    ear = Ear(acking)
    await broker.consume("one", ear, credit=10)

    await broker.publish([message(b"before", queue="one"), message(body, queue="one"), message(b"after", queue="one")])

    await ear.count(3)
    assert ear.bodies == [b"before", body, b"after"]


async def test_a_message_that_no_queue_wants_is_unroutable_and_the_others_arrive(broker: Broker) -> None:
    lost = message(b"lost", queue="nowhere", message_id="same")

    with pytest.raises(Unroutable) as raised:
        await broker.publish([message(b"a", queue="one"), lost, message(b"b", queue="one"), lost])

    assert len(raised.value.destinations) == 2
    assert "nowhere" in str(raised.value)
    await ready(broker, "one", 2)


async def test_only_the_publish_with_the_unroutable_message_fails(broker: Broker) -> None:
    results = await asyncio.gather(
        *(
            broker.publish([message(b"%d" % n, queue="nowhere" if n == 7 else "one", message_id="same")])
            for n in range(20)
        ),
        return_exceptions=True,
    )

    failed = [number for number, result in enumerate(results) if result is not None]
    assert failed == [7]
    assert isinstance(results[7], Unroutable)


async def test_a_message_that_need_not_be_routed_vanishes(broker: Broker) -> None:
    await broker.publish([message(b"nobody", queue="nowhere", mandatory=False), message(b"here", queue="one")])

    await ready(broker, "one", 1)
    assert [delivery.body for delivery in await broker.get("one", 2)] == [b"here"]
    assert await broker.ready("two") == 0


async def test_publishing_to_an_exchange_that_is_missing_is_unroutable(broker: Broker) -> None:
    with pytest.raises(Unroutable, match="backhaul topology apply"):
        await broker.publish([to("missing", "key", b"lost")])

    await broker.publish([message(b"still", queue="one")])
    await ready(broker, "one", 1)


async def test_a_queue_gets_a_message_once_however_many_keys_lead_to_it(broker: Broker) -> None:
    await broker.declare(
        Topology(
            exchanges=(Exchange("live", ExchangeKind.DIRECT),),
            bindings=(*(Binding("live", "one", key) for key in "abc"), Binding("live", "two", "c")),
        )
    )

    await broker.publish([to("live", "a", b"all", copies_to=("b", "c")), to("live", "a", b"first", copies_to=("b",))])

    await ready(broker, "one", 2)
    await ready(broker, "two", 1)


async def test_a_topic_exchange_leads_by_pattern(broker: Broker) -> None:
    await broker.declare(
        Topology(
            exchanges=(Exchange("events", ExchangeKind.TOPIC),),
            bindings=(
                Binding("events", "one", "task.digest.#"),
                Binding("events", "one", "task.digest.*.failed"),
                Binding("events", "two", "task.#.failed"),
            ),
        )
    )

    keys = ("task.digest.summarise.done", "task.digest.summarise.failed", "task.failed", "task.other.done")
    await broker.publish([to("events", key, key.encode(), mandatory=False) for key in keys])

    assert await _bodies(broker, "one") == [b"task.digest.summarise.done", b"task.digest.summarise.failed"]
    assert await _bodies(broker, "two") == [b"task.digest.summarise.failed", b"task.failed"]


async def test_what_no_queue_is_bound_for_goes_to_the_alternate_exchange(broker: Broker) -> None:
    await broker.declare(
        Topology(
            exchanges=(
                Exchange("spare", ExchangeKind.FANOUT),
                Exchange("main", ExchangeKind.DIRECT, alternate="spare"),
            ),
            bindings=(Binding("main", "one", "known"), Binding("spare", "two")),
        )
    )

    await broker.publish([to("main", "known", b"known"), to("main", "unknown", b"unknown")])

    assert await _bodies(broker, "one") == [b"known"]
    assert await _bodies(broker, "two") == [b"unknown"]


async def test_a_mailbox_takes_transient_messages_for_its_owner(ground: Ground, broker: Broker) -> None:
    await broker.declare(Topology(exchanges=(Exchange("replies", ExchangeKind.DIRECT),)))
    await broker.declare(mailbox("replies", "worker-1"))
    ear = Ear(acking)
    await broker.consume("replies.worker-1", ear, credit=10)

    other = await ground.broker()
    await other.publish([to("replies", "worker-1", b"answer", persistent=False, mandatory=False)])

    assert [delivery.body for delivery in await ear.count(1)] == [b"answer"]


async def test_publishing_before_the_start_says_that_there_is_no_connection(ground: Ground) -> None:
    broker = ground.make()

    with pytest.raises(BrokerUnavailable, match="connected"):
        await broker.publish([message(b"early", queue="one")])

    assert not broker.connected


async def test_publishing_after_the_stop_says_that_there_is_no_connection(broker: Broker) -> None:
    await broker.stop()
    await broker.stop()

    with pytest.raises(BrokerUnavailable, match="connected"):
        await broker.publish([message(b"late", queue="one")])

    assert not broker.connected


async def _bodies(broker: Broker, queue: str) -> list[bytes]:
    taken = await broker.get(queue, 100)
    for delivery in taken:
        delivery.ack()
    return [delivery.body for delivery in taken]
