"""What RabbitMQ does to single consumers, and that others never feel it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import aio_pika
import pytest
from pamqp import commands
from yarl import URL

from backhaul.broker.rabbitmq import RabbitBroker
from backhaul.broker.rabbitmq.frames import publish_frames
from backhaul.broker.rabbitmq.session import Session
from backhaul.core.errors import Unroutable
from backhaul.core.messages.topology import Exchange, ExchangeKind, Queue, Topology, mailbox
from backhaul.core.ports.broker import Delivery, Message
from tests.conformance.broker.ground import Ear, acking, message, ready, to, until

TOPOLOGY = Topology(
    exchanges=(Exchange("replies", ExchangeKind.DIRECT), Exchange("door", ExchangeKind.TOPIC)),
    queues=(Queue("one"), Queue("two")),
)


@pytest.fixture
async def broker(amqp_url: str) -> AsyncIterator[RabbitBroker]:
    broker = RabbitBroker(amqp_url, name="consumers", heartbeat=timedelta(seconds=1))
    await broker.start()
    await broker.declare(TOPOLOGY)
    yield broker
    await broker.stop()


@pytest.fixture
async def session(amqp_url: str) -> AsyncIterator[Session]:
    """A connection to do by hand what the port does not offer."""
    session = await Session.open(URL(amqp_url), name="by hand", heartbeat=timedelta(seconds=5))
    yield session
    await session.close()


async def test_a_mailbox_deleted_under_its_consumer_is_declared_and_consumed_again(
    broker: RabbitBroker, session: Session
) -> None:
    await broker.declare(mailbox("replies", "me"))
    ear, lost = Ear(acking), []
    await broker.consume("replies.me", ear, credit=5, on_lost=lambda: lost.append("lost"))

    await _delete(session, "replies.me")
    await until(lambda: _true(lost), "the loss is told")
    await until(lambda: _routed(broker, to("replies", "me", b"hello", persistent=False)), "the mailbox is bound again")

    assert (await ear.count(1))[0].body == b"hello"


async def test_a_queue_deleted_under_its_consumer_is_consumed_again_when_it_is_back(
    broker: RabbitBroker, session: Session
) -> None:
    ear, lost = Ear(acking), []
    await broker.consume("one", ear, credit=5, on_lost=lambda: lost.append("lost"))

    await _delete(session, "one")
    await until(lambda: _true(lost), "the loss is told")
    await broker.declare(TOPOLOGY)
    await broker.publish([message(b"hello", queue="one")])

    assert (await ear.count(1))[0].body == b"hello"


async def test_a_queue_deleted_under_a_subscription_is_heard_again_when_it_is_back(
    broker: RabbitBroker, session: Session
) -> None:
    heard: list[bytes] = []

    async def handle(delivery: Delivery) -> None:
        heard.append(delivery.body)

    await broker.subscribe("one", handle, credit=5)

    await _delete(session, "one")
    await asyncio.sleep(
        0.3
    )  # RabbitMQ 3.10 loses track of who consumes a quorum queue that is back within milliseconds
    await broker.declare(TOPOLOGY)
    await broker.publish([message(b"hello", queue="one")])

    await until(lambda: _true(heard), "the subscription goes on")


async def test_a_consumer_of_a_missing_queue_harms_no_other(
    broker: RabbitBroker, caplog: pytest.LogCaptureFixture
) -> None:
    ear = Ear(acking)
    await broker.consume("one", ear, credit=5)

    await broker.consume("missing", Ear(), credit=5)
    await broker.publish([message(b"hello", queue="one")])

    assert (await ear.count(1))[0].body == b"hello"
    assert broker.connected
    assert "404 NOT_FOUND - no queue 'missing'" in caplog.text


async def test_a_publish_to_a_missing_exchange_harms_no_consumer(broker: RabbitBroker) -> None:
    ear = Ear()
    lost: list[str] = []
    await broker.consume("one", ear, credit=5, on_lost=lambda: lost.append("lost"))
    await broker.publish([message(b"held", queue="one")])
    await ear.count(1)

    with pytest.raises(Exception, match="missing"):
        await broker.publish([to("missing", "key", b"lost")])

    ear.heard[0].ack()
    await ready(broker, "one", 0)
    assert lost == []


@pytest.mark.parametrize(
    ("readable", "garbled"),
    [
        (b"message-id", b"me\xdf\xdfage-id"),
        (b"text/plain", b"te\xfft/plain"),
        (b"a-header", b"\xc3-header"),
    ],
    ids=["message id", "content type", "header"],
)
async def test_an_unreadable_message_is_handed_over_with_its_body_and_blocks_nobody(
    broker: RabbitBroker, session: Session, readable: bytes, garbled: bytes
) -> None:
    heard: list[Delivery] = []

    async def handle(delivery: Delivery) -> None:
        heard.append(delivery)

    await broker.subscribe("one", handle, credit=5)
    await broker.consume("two", Ear(acking), credit=5)
    for queue in ("one", "two"):
        await _publish_garbled(session, queue, readable, garbled)
        await broker.publish([message(b"after", queue=queue, message_id="fine")])

    await until(lambda: _true(heard[1:]), "both are handled")
    assert {delivery.body: delivery.message_id for delivery in heard} == {b"garbled": None, b"after": "fine"}
    await ready(broker, "two", 0)


async def test_a_timestamp_in_nanoseconds_blocks_no_subscription(broker: RabbitBroker, session: Session) -> None:
    heard: list[bytes] = []

    async def handle(delivery: Delivery) -> None:
        heard.append(delivery.body)

    await broker.subscribe("one", handle, credit=5)
    frames = publish_frames(1, message(b"odd", queue="one", message_id="\x07odd-one"), session.frame_max)
    # A message id of eight bytes is a timestamp, once its flag says so and its length is cut away.
    flags, timestamp = (1 << 7).to_bytes(2), (1 << 6).to_bytes(2)
    assert frames.count(b"\x08\x07odd-one") == 1
    header = frames.replace(b"\x08\x07odd-one", (1_700_000_000_000_000_000).to_bytes(8))
    await _send(session, _with_flags(header, flags, timestamp))
    await broker.publish([message(b"after", queue="one")])

    await until(lambda: _true(heard[1:]), "both are handled")
    assert heard == [b"odd", b"after"]


async def test_an_unreadable_message_among_dead_letters_can_be_listed(broker: RabbitBroker, session: Session) -> None:
    await _publish_garbled(session, "one", b"message-id", b"me\xdf\xdfage-id")

    [delivery] = await broker.get("one", 5)

    assert (delivery.body, delivery.message_id) == (b"garbled", None)
    delivery.ack()


async def test_routing_keys_that_are_no_text_reach_a_subscription(broker: RabbitBroker, session: Session) -> None:
    heard: list[Delivery] = []

    async def handle(delivery: Delivery) -> None:
        heard.append(delivery)

    await broker.subscribe("one", handle, credit=5)
    channel = await session.channel()
    await channel.call(commands.Queue.Bind(queue="one", exchange="door", routing_key="#"))
    frames = publish_frames(1, to("door", "key.bad", b"body"), session.frame_max)
    await _send(session, frames.replace(b"key.bad", b"key.b\xe4d"))

    await until(lambda: _true(heard), "it is handled")
    assert (heard[0].exchange, heard[0].routing_key, heard[0].body) == ("door", "key.b\ufffdd", b"body")


async def _publish_garbled(session: Session, queue: str, readable: bytes, garbled: bytes) -> None:
    sent = message(b"garbled", queue=queue, message_id="message-id", headers={"a-header": 1})
    await _send(session, publish_frames(1, sent, session.frame_max).replace(readable, garbled))


async def _send(session: Session, frames: bytes) -> None:
    """Publish prepared frames of channel 1 on whatever channel comes next, and wait until they have been taken."""
    channel = await session.channel()
    session.wire.send(_on_channel(frames, channel.number))
    await channel.call(commands.Basic.Qos(prefetch_count=1))


def _on_channel(frames: bytes, number: int) -> bytes:
    parts, at = [], 0
    while at < len(frames):
        stop = at + 8 + int.from_bytes(frames[at + 3 : at + 7])
        parts.append(frames[at : at + 1] + number.to_bytes(2) + frames[at + 3 : stop])
        at = stop
    return b"".join(parts)


def _with_flags(frames: bytes, old: bytes, new: bytes) -> bytes:
    """The frames with one property flag exchanged for another, and the header frame's length made right again."""
    method = 8 + int.from_bytes(frames[3:7])
    header = bytearray(frames[method : frames.index(b"\xce", method + 21) + 1])
    header[3:7] = (len(header) - 8).to_bytes(4)
    flags = int.from_bytes(header[19:21]) & ~int.from_bytes(old) | int.from_bytes(new)
    header[19:21] = flags.to_bytes(2)
    return frames[:method] + bytes(header) + frames[method + len(header) :]


async def _delete(session: Session, queue: str) -> None:
    await (await session.channel()).call(commands.Queue.Delete(queue=queue))


async def _true(value: object) -> bool:
    return bool(value)


async def _routed(broker: RabbitBroker, sent: Message) -> bool:
    try:
        await broker.publish([sent])
    except Unroutable:
        return False
    return True


async def test_only_who_is_logged_in_is_vouched_for(broker: RabbitBroker, amqp_url: str) -> None:
    user = str(URL(amqp_url).user)
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        for named in (user, "somebody-else"):
            channel = await connection.channel()
            with suppress(aio_pika.exceptions.AMQPError):
                await channel.default_exchange.publish(aio_pika.Message(b"x", user_id=named), "one")

    await ready(broker, "one", 1)
    (delivery,) = await broker.get("one", 10)
    delivery.ack()
    assert delivery.user_id == user
