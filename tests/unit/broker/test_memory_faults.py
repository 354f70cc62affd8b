"""The broker in memory: faults by a seed, time by a clock, several users of one hub."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from backhaul.broker.memory import Faults, MemoryBroker
from backhaul.core.errors import BrokerUnavailable, Unroutable
from backhaul.core.messages.topology import OWNED_BYTES, Exchange, ExchangeKind, Queue, Topology, mailbox
from backhaul.testing.clock import ManualClock
from tests.conformance.broker.ground import Ear, acking, message, to

TOPOLOGY = Topology(
    exchanges=(Exchange("replies", ExchangeKind.DIRECT),), queues=(Queue("one"), Queue("two", dead_letter_to="one"))
)


async def pass_by(clock: ManualClock, length: timedelta) -> None:
    """Let time pass, and everything happen that waits for it."""
    await turns()
    clock.advance(length)
    await turns()


async def turns(number: int = 20) -> None:
    """Let everything happen that needs no time."""
    for _ in range(number):
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def broker(clock: ManualClock) -> AsyncIterator[MemoryBroker]:
    broker = MemoryBroker(clock=clock)
    await broker.start()
    await broker.declare(TOPOLOGY)
    yield broker
    await broker.stop()


async def story(faults: Faults) -> list[str]:
    """What is seen of a hundred messages under these faults."""
    clock = ManualClock()
    broker = MemoryBroker(clock=clock, faults=faults)
    await broker.start()
    await broker.declare(TOPOLOGY)
    seen: list[str] = []

    def hear(delivery: object) -> None:
        seen.append(f"{ear.heard[-1].body.decode()} {ear.heard[-1].redelivered}")
        ear.heard[-1].ack()

    ear = Ear(hear)
    await broker.consume("one", ear, credit=3)
    for number in range(100):
        try:
            await broker.publish([message(b"%d" % number, queue="one", persistent=bool(number % 3))])
        except BrokerUnavailable:
            seen.append(f"{number} unconfirmed")
        await pass_by(clock, timedelta(milliseconds=50))
    await pass_by(clock, timedelta(seconds=5))
    await broker.stop()
    return seen


ALL_FAULTS = Faults(seed=3, drop=0.1, duplicate=0.1, delay=0.1, reorder=0.1)


async def test_the_same_seed_tells_the_same_story() -> None:
    assert await story(ALL_FAULTS) == await story(ALL_FAULTS)


async def test_another_seed_tells_another_story() -> None:
    assert await story(ALL_FAULTS) != await story(Faults(seed=4, drop=0.1, duplicate=0.1, delay=0.1, reorder=0.1))


async def test_without_faults_every_message_comes_once_and_in_order() -> None:
    assert await story(Faults()) == [f"{number} False" for number in range(100)]


async def test_drops_lose_transient_messages_and_leave_publishes_in_doubt() -> None:
    seen = await story(Faults(seed=1, drop=0.3))

    heard = {int(line.split()[0]) for line in seen if "unconfirmed" not in line}
    unconfirmed = {int(line.split()[0]) for line in seen if "unconfirmed" in line}
    silent = set(range(100)) - heard - unconfirmed
    assert silent
    assert all(number % 3 == 0 for number in silent)
    assert all(number % 3 for number in unconfirmed)
    assert unconfirmed & heard
    assert unconfirmed - heard


async def test_duplicates_come_again_marked_as_such() -> None:
    seen = await story(Faults(seed=1, duplicate=0.3))

    assert {line for line in seen if line.endswith("False")} == {f"{number} False" for number in range(100)}
    assert any(line.endswith("True") for line in seen)


async def test_delays_keep_the_order() -> None:
    assert await story(Faults(seed=1, delay=0.5)) == [f"{number} False" for number in range(100)]


async def test_a_delayed_message_waits_for_the_clock(clock: ManualClock, broker: MemoryBroker) -> None:
    broker.hub.faults = Faults(seed=1, delay=1, longest_delay=timedelta(seconds=10))
    ear = Ear(acking)
    await broker.consume("one", ear, credit=5)

    await broker.publish([message(b"slow", queue="one")])
    await turns()
    at_once = len(ear.heard)
    await pass_by(clock, timedelta(seconds=10))

    assert (at_once, len(ear.heard)) == (0, 1)


async def test_reordered_messages_all_arrive(broker: MemoryBroker) -> None:
    broker.hub.faults = Faults(seed=1, reorder=0.3)
    await broker.publish([message(b"%d" % number, queue="one") for number in range(50)])

    heard = [int(delivery.body) for delivery in await broker.get("one", 100)]

    assert heard != sorted(heard)
    assert sorted(heard) == list(range(50))


async def test_users_of_one_hub_share_its_queues(broker: MemoryBroker) -> None:
    other = MemoryBroker(broker.hub)
    await other.start()
    ear = Ear(acking)
    await other.consume("one", ear, credit=5)

    await broker.publish([message(b"hello", queue="one")])

    assert (await ear.count(1))[0].body == b"hello"
    await other.stop()


async def test_a_lost_connection_is_that_of_one_user_only(clock: ManualClock, broker: MemoryBroker) -> None:
    other = MemoryBroker(broker.hub)
    await other.start()

    broker.disconnect(timedelta(seconds=3))

    assert (broker.connected, other.connected) == (False, True)
    await pass_by(clock, timedelta(seconds=3))
    assert broker.connected
    await other.stop()


async def test_a_restart_keeps_what_is_persistent_and_forgets_the_rest(broker: MemoryBroker) -> None:
    await broker.declare(mailbox("replies", "me"))
    await broker.publish(
        [
            to("replies", "me", b"kept"),
            to("replies", "me", b"gone", persistent=False),
            message(b"quorum", queue="one", persistent=False),
        ]
    )

    broker.hub.down()
    broker.hub.up()

    assert [delivery.body for delivery in await broker.get("replies.me", 5)] == [b"kept"]
    assert await broker.ready("one") == 1


async def test_a_mailbox_goes_when_nobody_has_used_it_for_a_minute(clock: ManualClock, broker: MemoryBroker) -> None:
    await broker.declare(mailbox("replies", "me"))
    subscription = await broker.consume("replies.me", Ear(), credit=1)
    await pass_by(clock, timedelta(seconds=120))
    while_used = await broker.ready("replies.me")

    await subscription.cancel()
    await pass_by(clock, timedelta(seconds=60))

    assert (while_used, await broker.ready("replies.me")) == (0, None)
    with pytest.raises(Unroutable):
        await broker.publish([to("replies", "me", b"nobody")])


async def test_a_full_mailbox_drops_its_oldest_messages(broker: MemoryBroker) -> None:
    await broker.declare(mailbox("replies", "me"))
    quarter = bytes(OWNED_BYTES // 4)

    await broker.publish([to("replies", "me", quarter, message_id=str(number)) for number in range(6)])

    assert [delivery.message_id for delivery in await broker.get("replies.me", 9)] == ["2", "3", "4", "5"]


async def test_an_expired_message_is_dead_lettered_by_the_clock(clock: ManualClock, broker: MemoryBroker) -> None:
    await broker.publish([message(b"late", queue="two", expiration=timedelta(hours=1))])

    await pass_by(clock, timedelta(minutes=59))
    before = await broker.ready("one")
    await pass_by(clock, timedelta(minutes=1))

    assert (before, await broker.ready("one"), await broker.ready("two")) == (0, 1, 0)


async def test_stopping_the_last_user_leaves_nothing_running(broker: MemoryBroker) -> None:
    await broker.declare(mailbox("replies", "me"))
    await broker.publish([message(b"late", queue="two", expiration=timedelta(hours=1))])

    await broker.stop()
    await turns()

    assert asyncio.all_tasks() == {asyncio.current_task()}
