"""A desk and its queue, on the broker in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from backhaul.broker.memory import MemoryBroker
from backhaul.core.errors import BrokerUnavailable, StoreUnavailable
from backhaul.core.messages import topology
from backhaul.core.ports.broker import Message
from backhaul.ledger.desk import Desk, Letter
from backhaul.testing import ManualClock

Handle = Callable[[Sequence[Letter[str]]], Awaitable[None]]


def read(body: bytes) -> tuple[list[str], ValueError | None]:
    """The words that are ASCII."""
    words: list[str] = []
    fault: ValueError | None = None
    for word in body.split():
        try:
            words.append(word.decode("ascii"))
        except ValueError as error:
            fault = error
    return words, fault


@dataclass
class Handled:
    """Fails with `failures`, one after the other, and then handles everything."""

    failures: list[Exception] = field(default_factory=list)
    seen: list[list[tuple[str, bool]]] = field(default_factory=list)

    async def __call__(self, letters: Sequence[Letter[str]]) -> None:
        self.seen.append([(letter.messages[0], letter.again) for letter in letters])
        if self.failures:
            raise self.failures.pop(0)


@asynccontextmanager
async def reading(handle: Handle, clock: ManualClock) -> AsyncIterator[MemoryBroker]:
    broker = MemoryBroker(clock=clock)
    await broker.start()
    await broker.declare(topology.platform(1))
    running = asyncio.create_task(Desk(broker, clock, topology.CLAIMS, read, handle).run())
    yield broker
    running.cancel()
    await asyncio.wait((running,))
    await broker.stop()


async def publish(broker: MemoryBroker, *bodies: bytes) -> None:
    await broker.publish(
        [Message(exchange="", routing_key=topology.CLAIMS, body=b, content_type="text") for b in bodies]
    )


async def turns(clock: ManualClock) -> None:
    """Let ten seconds pass."""
    for _ in range(20):
        clock.advance(timedelta(milliseconds=500))
        for _ in range(10):
            await asyncio.sleep(0)


async def test_an_outage_is_told_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    clock, handle = ManualClock(), Handled([StoreUnavailable("it is down")] * 5)

    async with reading(handle, clock) as broker:
        await publish(broker, b"one")
        await turns(clock)

    assert caplog.messages == [
        "backhaul.claims: messages wait for an outage to end: it is down",
        "backhaul.claims is well again",
    ]


@pytest.mark.parametrize("outage", [StoreUnavailable("it is down"), BrokerUnavailable("it is down")])
async def test_a_handful_waits_for_the_end_of_an_outage_and_knows_that_it_may_have_been_handled(
    outage: Exception,
) -> None:
    clock, handle = ManualClock(), Handled([outage, outage])

    async with reading(handle, clock) as broker:
        await publish(broker, b"one", b"two")
        await turns(clock)

        assert handle.seen == [[("one", False), ("two", False)], *[[("one", True), ("two", True)]] * 2]
        assert (await broker.ready(topology.CLAIMS), await broker.ready(topology.DEAD)) == (0, 0)


async def test_a_message_that_cannot_be_handled_is_set_aside_and_its_neighbours_are_handled() -> None:
    seen: list[str] = []

    async def handle(letters: Sequence[Letter[str]]) -> None:
        if any(letter.messages == ["bad"] for letter in letters):
            raise LookupError("nobody foresaw this")
        seen.extend(message for letter in letters for message in letter.messages)

    clock = ManualClock()
    async with reading(handle, clock) as broker:
        await publish(broker, b"one", b"bad", b"\xff", b"two", b"three \xff four")
        await turns(clock)

        dead = await broker.get(topology.DEAD, 10)

    assert seen == ["one", "two", "three", "four"]
    assert sorted((letter.body, letter.headers["bh-reason"]) for letter in dead) == [
        (b"bad", "internal"),
        (b"three \xff four", "unreadable"),
        (b"\xff", "unreadable"),
    ]
