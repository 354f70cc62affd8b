"""The feed and its mailbox, on the broker in memory."""

import asyncio
from datetime import timedelta
from typing import cast

from backhaul.broker.memory import MemoryBroker
from backhaul.core import topology
from backhaul.core.announcements import live_message
from backhaul.core.clock import from_ms
from backhaul.core.ports.store import Store
from backhaul.core.record import Event, RawJson
from backhaul.gateway.feed import Feed
from backhaul.gateway.subjects import Subjects
from backhaul.gateway.wide import Wide
from backhaul.testing import ManualClock
from backhaul_contracts.events import EventType
from backhaul_contracts.ids import new_task_id


async def test_it_waits_for_a_topology_that_is_applied_later() -> None:
    clock, task_id = ManualClock(), new_task_id()
    broker = MemoryBroker(clock=clock)
    await broker.start()
    feed = Feed(broker, clock, "gw_1", Wide(Subjects(cast("Store", None)), clock))
    running = asyncio.create_task(feed.run())
    await asyncio.sleep(0)

    await broker.declare(topology.platform(1))
    clock.advance(timedelta(seconds=1))
    with feed.watch(task_id) as watcher:
        async with asyncio.timeout(10):
            while not watcher.topic.seq:
                await broker.publish(
                    [live_message([Event(task_id, 1, 0, EventType.QUEUED, from_ms(0), RawJson("{}"))])]
                )

    assert not running.done()
    running.cancel()
    await asyncio.wait((running,))
    await broker.stop()
