"""How services and the ledger find each other when something is in the way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from backhaul import Service
from backhaul.broker.memory import MemoryBroker
from backhaul.core import topology
from backhaul.core.clock import SystemClock
from backhaul.core.ports.broker import Broker
from backhaul.core.topology import Queue, Topology
from backhaul.settings import Settings
from backhaul.wiring import open_store
from backhaul.wiring.platform import Platform

taken, free = Service("taken", version="1.0.0"), Service("free", version="1.0.0")


@taken.handler("taken.say")
@free.handler("free.say")
async def say(word: str) -> str:
    return word


@asynccontextmanager
async def ground(*services: Service) -> AsyncIterator[tuple[Platform, MemoryBroker]]:
    """A platform that is not running yet, with a ledger, and a worker for each service."""
    settings, clock, broker = Settings(), SystemClock(), MemoryBroker()
    store = open_store(settings, clock, url="sqlite:///:memory:")
    await store.start()
    await broker.start()
    await broker.declare(topology.platform(1))
    platform = Platform(store, broker, settings=settings, clock=clock)
    platform.add_ledger()
    platform.add_workers(services)
    yield platform, broker
    await broker.stop()
    await store.stop()


async def made_by_others(broker: Broker) -> None:
    """The queue of `taken` stands there with other properties than ours."""
    await broker.declare(Topology(queues=(Queue(topology.task_queue("taken"), delivery_limit=3),)))


async def test_a_service_whose_queue_cannot_be_declared_hinders_no_other_and_fills_no_dead_letters(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with ground(taken, free) as (platform, broker):
        await made_by_others(broker)
        refused, accepted = platform.workers

        async with platform.running(), asyncio.timeout(10):
            await accepted.announced.wait()
            while "does not accept" not in caplog.text:
                await asyncio.sleep(0.01)
            dead = await broker.ready(topology.DEAD)

    assert not refused.announced.is_set()
    assert "service taken cannot be announced: queue backhaul.tasks.taken has other properties" in caplog.text
    assert dead == 0


async def test_a_ledger_that_starts_in_an_outage_waits_for_its_end(caplog: pytest.LogCaptureFixture) -> None:
    async with ground(free) as (platform, broker):
        broker.hub.down()

        async with platform.running(), asyncio.timeout(10):
            while "the ledger waits for an outage to end" not in caplog.text:
                await asyncio.sleep(0.01)
            broker.hub.up()

            await platform.workers[0].announced.wait()

    assert platform.workers[0].announced.is_set()
