"""What a look through a queue promises: it shows everything, and changes nothing but what it is told to."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from backhaul.core.errors import BrokerUnavailable, ConfigurationError
from backhaul.core.messages import topology
from backhaul.core.messages.topology import Queue, Topology
from backhaul.core.ports.broker import Broker, Delivery
from tests.conformance.broker.ground import Ear, Ground, acking, connected, message, ready, to

ANY = 2**40


def all_of_them(_: Delivery) -> bool:
    return True


class Eye:
    """Sees deliveries, and wants none."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def __call__(self, delivery: Delivery) -> bool:
        self.bodies.append(delivery.body)
        return False


async def seen(broker: Broker, queue: str = "one", most: int = 10_000) -> list[bytes]:
    """The bodies that a look shows."""
    eye = Eye()
    async with broker.look(queue, eye, most=most, heaviest=ANY):
        pass
    return eye.bodies


async def fill(broker: Broker, number: int, *, queue: str = "one", size: int = 0) -> list[bytes]:
    bodies = [b"%d".ljust(size) % n for n in range(number)]
    await broker.publish([message(body, queue=queue) for body in bodies])
    return bodies


async def test_a_look_shows_everything_in_order_and_so_does_the_next_one(broker: Broker) -> None:
    bodies = await fill(broker, 300)

    looks = [await seen(broker) for _ in range(3)]

    assert looks == [bodies] * 3
    assert await broker.ready("one") == 300


async def test_looking_never_costs_a_message_however_often(broker: Broker) -> None:
    bodies = await fill(broker, 3)

    for _ in range(60):
        assert await seen(broker) == bodies


async def test_a_consumer_gets_what_was_looked_at_in_its_old_order(broker: Broker) -> None:
    bodies = await fill(broker, 120)
    await seen(broker)
    ear = Ear(acking)

    await broker.consume("one", ear, credit=10)

    await ear.count(120)
    assert ear.bodies == bodies


async def test_what_is_wanted_and_acknowledged_is_gone_and_nothing_else(broker: Broker) -> None:
    bodies = await fill(broker, 100)

    async with broker.look(
        "one", lambda delivery: delivery.body in (b"0", b"17", b"99"), most=1000, heaviest=ANY
    ) as look:
        assert [delivery.body for delivery in look.wanted] == [b"0", b"17", b"99"]
        look.wanted[1].ack()
        look.wanted[2].ack()

    assert await seen(broker) == [body for body in bodies if body not in (b"17", b"99")]


async def test_the_last_message_can_be_taken(broker: Broker) -> None:
    await fill(broker, 1)

    async with broker.look("one", all_of_them, most=10, heaviest=ANY) as look:
        look.wanted[0].ack()

    assert await seen(broker) == []


async def test_a_look_that_fails_takes_nothing_away(broker: Broker) -> None:
    bodies = await fill(broker, 5)

    with pytest.raises(RuntimeError, match="no"):
        async with broker.look("one", all_of_them, most=10, heaviest=ANY):
            raise RuntimeError("no")

    assert await seen(broker) == bodies


async def test_a_look_goes_no_further_than_it_should_and_says_what_is_left(broker: Broker) -> None:
    bodies = await fill(broker, 250)
    eye = Eye()

    async with broker.look("one", eye, most=120, heaviest=ANY) as look:
        assert look.unseen == 130

    assert eye.bodies == bodies[:120]
    assert await broker.ready("one") == 250


async def test_a_look_ends_when_it_has_seen_enough_bytes(broker: Broker) -> None:
    await fill(broker, 60, size=1_000_000)

    async with broker.look("one", Eye(), most=1000, heaviest=5_000_000) as look:
        assert 5 < look.unseen <= 55

    assert await broker.ready("one") == 60


async def test_large_messages_are_looked_at_too(broker: Broker) -> None:
    bodies = await fill(broker, 40, size=600_000)

    assert await seen(broker) == bodies
    assert await seen(broker) == bodies


async def test_two_processes_that_look_at_once_each_see_everything(ground: Ground, broker: Broker) -> None:
    bodies = await fill(broker, 200)
    other = await ground.broker()

    looks = await asyncio.gather(*(seen(at) for _ in range(3) for at in (broker, other)))

    assert looks == [bodies] * 6


async def test_a_look_that_breaks_off_leaves_everything_to_the_next(ground: Ground, broker: Broker) -> None:
    bodies = await fill(broker, 20)
    other = await ground.broker()

    with suppress(BrokerUnavailable):
        async with broker.look("one", all_of_them, most=100, heaviest=ANY) as look:
            await ground.cut()
            look.wanted[0].ack()

    await connected(other)
    await ready(other, "one", 20)
    assert sorted(await seen(other)) == sorted(bodies)


async def test_looking_while_the_broker_is_down_is_refused_at_once(ground: Ground, broker: Broker) -> None:
    await ground.down()

    async with asyncio.timeout(2):
        with pytest.raises(BrokerUnavailable):
            await seen(broker)


async def test_looking_at_a_queue_that_is_not_there_is_a_configuration_error(broker: Broker) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        await seen(broker, "nowhere")


async def test_every_property_of_a_message_is_carried(broker: Broker) -> None:
    headers = {
        "text": "ä",
        "count": 7,
        "share": 0.5,
        "flag": True,
        "none": None,
        "bytes": b"\xff\x00",
        "price": Decimal("1.5"),
        "at": datetime(2026, 1, 31, 8, tzinfo=UTC),
        "list": [1, "two", {"three": 3}],
        "table": {"inner": ["a"]},
    }
    moment = datetime(2026, 1, 31, 8, 0, 1, tzinfo=UTC)
    sent = message(b"x", queue="one", headers=headers, content_encoding="gzip", timestamp=moment, type="t", app_id="a")
    await broker.publish([sent])

    async with broker.look("one", all_of_them, most=1, heaviest=ANY) as look:
        [found] = look.wanted
        properties = found.content_encoding, found.timestamp, found.type, found.app_id

    assert properties == ("gzip", moment, "t", "a")
    assert dict(found.headers) == headers


async def test_what_nobody_routes_is_kept_beyond_its_expiration(broker: Broker) -> None:
    await broker.declare(topology.platform(1))

    await broker.publish([to(topology.TASKS, "nowhere", b"x", expiration=timedelta(milliseconds=1))])

    await ready(broker, topology.DEAD, 1)
    assert await seen(broker, topology.DEAD) == [b"x"]


@pytest.mark.parametrize("queue", [topology.DEAD, topology.INVALID, topology.UNROUTED])
async def test_queues_of_dead_letters_give_up_nothing(ground: Ground, queue: str) -> None:
    broker = await ground.broker()
    [spec] = [spec for spec in topology.platform(1).queues if spec.name == queue]
    targets = (Queue(topology.DEAD),) if queue != topology.DEAD else ()
    await broker.declare(Topology(queues=(*targets, spec)))
    bodies = await fill(broker, 2, queue=queue)

    for _ in range(30):
        for delivery in await broker.get(queue, 2):
            delivery.requeue()
        await ready(broker, queue, 2)

    assert sorted(await seen(broker, queue)) == bodies
