"""Our own bytes against those of pamqp, and frames that arrive in any pieces."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands
from pamqp import frame as amqp
from pamqp.body import ContentBody
from pamqp.common import FieldTable
from pamqp.frame import FrameTypes
from pamqp.header import ContentHeader

from backhaul.broker.rabbitmq.channel import Channel
from backhaul.broker.rabbitmq.delivery import RabbitDelivery, Settlements
from backhaul.broker.rabbitmq.errors import ChannelLost
from backhaul.broker.rabbitmq.frames import ack_frame, publish_frames, requeue_frame
from backhaul.broker.rabbitmq.wire import Wire
from backhaul.core.ports.broker import Message

FRAME_MAX = 4096
FULL = Message(
    exchange="backhaul.tasks",
    routing_key="digest",
    body=b"x" * 10_000,
    content_type="application/cloudevents+json",
    message_id="m",
    copies_to=("a", "b"),
    reply_to="r",
    correlation_id="c",
    priority=5,
    expiration=timedelta(seconds=1.5),
    headers={"text": "ä", "number": 7, "flag": False, "part": 0.25},
    persistent=False,
)
BARE = Message(exchange="", routing_key="q", body=b"", content_type="text/plain", mandatory=False)


@pytest.mark.parametrize("message", [FULL, BARE], ids=["full", "bare"])
def test_a_message_is_written_as_pamqp_would_write_it(message: Message) -> None:
    headers: FieldTable = {**message.headers, **({"CC": list(message.copies_to)} if message.copies_to else {})}
    expiration = "1500" if message.expiration is not None else None
    properties = commands.Basic.Properties(
        content_type=message.content_type,
        headers=headers or None,
        delivery_mode=2 if message.persistent else 1,
        priority=message.priority,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        expiration=expiration,
        message_id=message.message_id,
    )
    pieces = [message.body[at : at + FRAME_MAX - 8] for at in range(0, len(message.body), FRAME_MAX - 8)]
    frames: list[FrameTypes] = [
        commands.Basic.Publish(exchange=message.exchange, routing_key=message.routing_key, mandatory=message.mandatory),
        ContentHeader(body_size=len(message.body), properties=properties),
        *map(ContentBody, pieces),
    ]

    written = publish_frames(3, message, FRAME_MAX)

    assert written == b"".join(amqp.marshal(frame, 3) for frame in frames)
    assert max(map(len, _split(written))) <= FRAME_MAX


def test_settlements_are_written_as_pamqp_would_write_them() -> None:
    assert ack_frame(2, 77, multiple=True) == amqp.marshal(commands.Basic.Ack(delivery_tag=77, multiple=True), 2)
    assert ack_frame(2, 77, multiple=False) == amqp.marshal(commands.Basic.Ack(delivery_tag=77), 2)
    assert requeue_frame(2, 77) == amqp.marshal(commands.Basic.Reject(delivery_tag=77, requeue=True), 2)


class Listener:
    """Keeps what a channel hears."""

    def __init__(self, settlements: Settlements) -> None:
        self.heard: list[RabbitDelivery] = []
        self.confirms: list[tuple[int, bool, bool]] = []
        self._settlements = settlements

    def on_content(self, method: int, arguments: bytes, header: bytes, body: bytes) -> None:
        self.heard.append(RabbitDelivery(self._settlements, arguments, 1 + arguments[0], header, body))

    def on_confirm(self, tag: int, *, multiple: bool, taken: bool) -> None:
        self.confirms.append((tag, multiple, taken))

    def on_cancelled(self) -> None:
        raise AssertionError("no consumer was cancelled")

    def on_lost(self, error: ChannelLost) -> None:
        raise AssertionError("no channel was lost")


class Stage:
    """A wire with one channel, and what passes through to aiormq."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.reader = asyncio.StreamReader(loop=self.loop)
        self.wire = Wire(self.reader, self.loop)
        self.channel = Channel(self.wire, 1, answers_cancel=False)
        self.listener = Listener(Settlements(self.wire, 1))
        self.channel.user = self.listener
        self.wire.sinks[1] = self.channel


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.loop.close()


@given(
    cuts=st.lists(st.integers(min_value=1, max_value=400), max_size=40),
    sizes=st.lists(st.integers(0, 9000), max_size=6),
)
def test_deliveries_arrive_whole_in_whatever_pieces_their_bytes_come(cuts: list[int], sizes: list[int]) -> None:
    stage = Stage()
    bodies = [bytes([number]) * size for number, size in enumerate(sizes)]
    heartbeat, ack = b"\x08\x00\x00\x00\x00\x00\x00\xce", ack_frame(1, 9, multiple=True)
    stream = heartbeat.join(_delivery(number, body) + ack for number, body in enumerate(bodies))

    at = 0
    for cut in cuts:
        stage.wire.data_received(stream[at : at + cut])
        at += cut
    stage.wire.data_received(stream[at:])

    assert [(delivery.tag, delivery.body) for delivery in stage.listener.heard] == list(enumerate(bodies))
    assert stage.listener.confirms == [(9, True, True)] * len(bodies)
    stage.loop.close()


def test_what_a_delivery_says_of_itself(stage: Stage) -> None:
    stage.wire.data_received(_delivery(7, b"body", redelivered=True))

    [delivery] = stage.listener.heard
    assert (delivery.tag, delivery.redelivered, delivery.body) == (7, True, b"body")
    assert (delivery.exchange, delivery.routing_key) == ("the exchange", "the.key")
    assert (delivery.message_id, delivery.content_type) == ("m", "text/plain")


def test_frames_of_the_connection_and_what_is_no_amqp_pass_through(stage: Stage) -> None:
    tune = amqp.marshal(commands.Connection.Tune(channel_max=7, frame_max=4096, heartbeat=5), 0)

    stage.wire.data_received(tune + _delivery(1, b"ours"))
    stage.wire.data_received(b"AMQP\x00\x00\x09\x01")

    stage.reader.feed_eof()
    assert stage.loop.run_until_complete(stage.reader.read()) == tune + b"AMQP\x00\x00\x09\x01"
    assert len(stage.listener.heard) == 1


def _delivery(tag: int, body: bytes, *, redelivered: bool = False) -> bytes:
    deliver = commands.Basic.Deliver(
        consumer_tag="consumer",
        delivery_tag=tag,
        redelivered=redelivered,
        exchange="the exchange",
        routing_key="the.key",
    )
    properties = commands.Basic.Properties(content_type="text/plain", message_id="m")
    pieces = [body[at : at + FRAME_MAX - 8] for at in range(0, len(body), FRAME_MAX - 8)]
    frames: list[FrameTypes] = [
        deliver,
        ContentHeader(body_size=len(body), properties=properties),
        *map(ContentBody, pieces),
    ]
    return b"".join(amqp.marshal(frame, 1) for frame in frames)


def _split(frames: bytes) -> list[bytes]:
    parts, at = [], 0
    while at < len(frames):
        stop = at + 8 + int.from_bytes(frames[at + 3 : at + 7])
        parts.append(frames[at:stop])
        at = stop
    return parts
