"""The feed and its mailbox, on the broker in memory."""

import asyncio
from datetime import timedelta
from typing import cast

from backhaul.broker.memory import MemoryBroker
from backhaul.core.clock import from_ms
from backhaul.core.messages import topology
from backhaul.core.messages.announcements import live_message
from backhaul.core.ports.store import Store
from backhaul.core.task.record import Event, RawJson
from backhaul.gateway.push.feed import Feed
from backhaul.gateway.push.subjects import Subjects
from backhaul.gateway.push.wide import Choice, Wide
from backhaul.testing import ManualClock
from backhaul_contracts import codec
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


async def test_who_comes_before_it_hears_is_told_that_something_may_be_missing() -> None:
    clock = ManualClock()
    broker = MemoryBroker(clock=clock)
    await broker.start()
    feed = Feed(broker, clock, "gw_1", Wide(Subjects(cast("Store", None)), clock))
    running = asyncio.create_task(feed.run())
    hearing = asyncio.create_task(feed.heard(timedelta(hours=1)))

    with feed.wide.watch(Choice(tenant="default"), resumed=False) as early, feed.watch(new_task_id()) as watcher:
        feed.learn(watcher, 3, ended=False)
        early_frames = await early.more()
        await broker.declare(topology.platform(1))
        clock.advance(timedelta(seconds=1))
        async with asyncio.timeout(10):
            await hearing
        with feed.wide.watch(Choice(tenant="default"), resumed=False) as late:
            frames, late_frames = await early.more(), await late.more()
        behind = set(feed.behind)

    assert early_frames == late_frames == []
    assert [codec.loads(frame.body)["data"] for frame in frames] == [{"reason": "lost"}]
    assert behind == {watcher.topic}
    running.cancel()
    await asyncio.wait((running,))
    await broker.stop()


async def test_who_waits_to_hear_waits_no_longer_than_asked() -> None:
    clock = ManualClock()
    feed = Feed(MemoryBroker(clock=clock), clock, "gw_1", Wide(Subjects(cast("Store", None)), clock))
    begun = clock.now()

    async with asyncio.timeout(10):
        waiting = asyncio.create_task(feed.heard(timedelta(seconds=5)))
        while not waiting.done():
            await asyncio.sleep(0)
            clock.advance(timedelta(seconds=1))

    assert clock.now() - begun >= timedelta(seconds=5)
