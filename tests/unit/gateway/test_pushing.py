"""How promptly watchers are told of an end, and how often live events were missing: what the metrics say of it."""

from datetime import timedelta
from typing import cast

from backhaul.broker.memory import MemoryBroker
from backhaul.core.ports.store import Store
from backhaul.gateway.push.feed import Feed
from backhaul.gateway.push.subjects import Subjects
from backhaul.gateway.push.topic import Frame, frame
from backhaul.gateway.push.wide import Wide
from backhaul.testing import ManualClock
from backhaul_contracts.ids import new_task_id
from tests.conformance.http.stage import Stage
from tests.unit.gateway.fakes import FakeBroker, FakeStore

TASK_ID = new_task_id()
A_SECOND = timedelta(seconds=1)


def end(seq: int) -> Frame:
    return frame(seq, "task.succeeded", b"{}")


def a_feed() -> tuple[Feed, ManualClock]:
    clock = ManualClock()
    return Feed(MemoryBroker(clock=clock), clock, "gw_1", Wide(Subjects(cast("Store", None)), clock)), clock


def pushed(feed: Feed) -> tuple[int, float]:
    """How many ends, and after how many seconds altogether."""
    return sum(feed.pushed.counts), feed.pushed.sum


def test_an_end_is_counted_when_it_is_given_and_no_repeat_of_it() -> None:
    feed, clock = a_feed()
    ended_at = clock.now()

    with feed.watch(TASK_ID) as watcher:
        feed.learn(watcher, 3, ended=False)
        clock.advance(A_SECOND)
        assert feed.push(watcher.topic, end(4), lambda: ended_at)
        clock.advance(A_SECOND)
        assert feed.push(watcher.topic, end(4), lambda: ended_at)

    assert pushed(feed) == (1, 1.0)


def test_an_end_that_was_there_before_its_first_watcher_was_not_pushed_however_late_it_comes() -> None:
    feed, clock = a_feed()

    with feed.watch(TASK_ID) as watcher:
        feed.push(watcher.topic, end(4), clock.now)
        feed.learn(watcher, 4, ended=True)
        feed.push(watcher.topic, end(4), clock.now)
    with feed.watch(TASK_ID) as watcher:
        feed.push(watcher.topic, frame(3, "task.started", b"{}"), clock.now)
        feed.learn(watcher, 4, ended=True)
        feed.push(watcher.topic, end(4), clock.now)

    assert pushed(feed) == (0, 0.0)


def test_an_end_that_cannot_be_given_yet_is_not_counted_yet() -> None:
    feed, clock = a_feed()

    with feed.watch(TASK_ID) as watcher:
        feed.learn(watcher, 3, ended=False)
        assert not feed.push(watcher.topic, end(5), clock.now)
        before = pushed(feed)
        feed.push(watcher.topic, frame(4, "task.output", b"{}"), clock.now)
        feed.push(watcher.topic, end(5), clock.now)

    assert (before, pushed(feed)) == ((0, 0.0), (1, 0.0))


def test_the_end_of_each_run_is_counted() -> None:
    feed, clock = a_feed()

    with feed.watch(TASK_ID) as watcher:
        feed.learn(watcher, 3, ended=False)
        for news in (end(4), frame(5, "task.queued", b"{}"), end(6)):
            feed.push(watcher.topic, news, clock.now)

    assert pushed(feed) == (2, 0.0)


async def test_an_end_that_comes_live_is_counted_and_nothing_is_repaired(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]

    async with stage.follow(f"/v1/tasks/{task_id}/events", params={"after": 2}) as stream:
        await stage.watched(task_id)
        await stage.run(task_id, {})
        await stream.rest()

    assert (pushed(stage.gateway.feed)[0], stage.gateway.audit.repairs) == (1, 0)


async def test_an_end_that_only_the_store_tells_is_counted_with_the_time_that_took(
    stage: Stage, broker: FakeBroker
) -> None:
    task_id = (await stage.submit())["id"]

    async with stage.follow(f"/v1/tasks/{task_id}/events", params={"after": 2}) as stream:
        await stage.watched(task_id)
        broker.lossy = True
        await stage.run(task_id, {})
        await stage.while_time_passes(stream.rest())

    count, seconds = pushed(stage.gateway.feed)
    assert (count, stage.gateway.audit.repairs) == (1, 1)
    assert 0 < seconds <= 6


async def test_however_much_comes_behind_a_hole_it_is_repaired_once(stage: Stage, broker: FakeBroker) -> None:
    task_id = (await stage.submit())["id"]

    async with stage.follow(f"/v1/tasks/{task_id}/events", params={"after": 2}) as stream:
        await stage.watched(task_id)
        topic = stage.gateway.feed.topics[task_id]
        broker.lossy = True
        attempt = await stage.start(task_id)
        for text in "abc":
            await attempt.output(text)
        for seq in (4, 5, 6):
            assert not stage.gateway.feed.push(topic, frame(seq, "task.output", b"{}"), stage.clock.now)
            stage.gateway.feed.fell_behind(topic)
        events = [await stream.event() for _ in range(4)]

    assert [event["id"] for event in events] == ["3", "4", "5", "6"]
    assert stage.gateway.audit.repairs == 1


async def test_a_task_whose_log_has_lost_events_keeps_no_other_from_being_repaired(
    stage: Stage, store: FakeStore, broker: FakeBroker
) -> None:
    lost, whole = [(await stage.submit())["id"] for _ in range(2)]

    async with (
        stage.follow(f"/v1/tasks/{lost}/events", params={"after": 2}),
        stage.follow(f"/v1/tasks/{whole}/events", params={"after": 2}) as stream,
    ):
        for task_id in (lost, whole):
            await stage.watched(task_id)
        broker.lossy = True
        for task_id in (lost, whole):
            await stage.run(task_id, {})
        del store.log[lost][2]
        events = await stage.while_time_passes(stream.rest())

    assert [event["id"] for event in events] == ["3", "4"]
