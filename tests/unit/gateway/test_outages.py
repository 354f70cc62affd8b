"""What clients see while the store or the broker is in trouble."""

import asyncio
import logging
import time
from datetime import timedelta
from typing import cast

import pytest

from backhaul.core.errors import StoreUnavailable
from backhaul.core.ports.broker import Broker
from backhaul.core.ports.store import Store
from backhaul.gateway.access.identity import anybody
from backhaul.gateway.patience import BROKER_PATIENCE, STORE_PATIENCE, answered
from backhaul.gateway.push.reading import Reading
from backhaul.gateway.push.topic import frame
from backhaul.testing.clock import ManualClock
from backhaul_contracts.ids import TaskId
from tests.conformance.http.stage import Stage, body, staged
from tests.unit.gateway.fakes import FakeBroker, FakeStore

MOST_SECONDS = 2.0
"""The promise to a client."""
A_LOADED_MACHINE = 3.0


def test_nobody_is_waited_for_until_it_is_too_late_to_say_so() -> None:
    assert max(STORE_PATIENCE.seconds, BROKER_PATIENCE.total_seconds()) < MOST_SECONDS


async def test_every_call_is_503_while_the_store_is_down(stage: Stage, store: FakeStore) -> None:
    task_id = (await stage.submit())["id"]
    store.down = True
    calls = [
        ("POST", "/v1/tasks", body()),
        ("POST", "/v1/tasks/batch", {"tasks": [body()]}),
        ("GET", f"/v1/tasks/{task_id}", None),
        ("GET", f"/v1/tasks/{task_id}/events", None),
        ("GET", f"/v1/tasks/{task_id}/result", None),
        ("GET", "/v1/tasks", None),
        ("GET", "/v1/workers", None),
        ("DELETE", f"/v1/tasks/{task_id}", None),
        ("POST", f"/v1/tasks/{task_id}/cancel", None),
        ("POST", f"/v1/tasks/{task_id}/retry", None),
        ("POST", f"/v1/tasks/{task_id}/replay", None),
    ]

    for method, path, content in calls:
        answer = await stage.http.request(method, path, json=content)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), path
        assert answer.headers["retry-after"] == "1"
        assert answer.json()["retryable"] is True
        assert "switched off" not in answer.text


async def test_a_kind_is_not_called_unknown_because_the_store_is_down(stage: Stage, store: FakeStore) -> None:
    store.down = True

    answers = [await stage.http.post("/v1/tasks", json=body()) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [503, 503]


async def test_a_store_that_does_not_answer_is_no_reason_to_hang(stage: Stage, store: FakeStore) -> None:
    task_id = (await stage.submit())["id"]
    store.fall_silent()
    begun = time.monotonic()

    answers = await asyncio.gather(
        stage.http.post("/v1/tasks", json=body()),
        stage.http.get(f"/v1/tasks/{task_id}"),
        stage.http.get("/readyz"),
    )

    assert [answer.status_code for answer in answers] == [503, 503, 503]
    assert time.monotonic() - begun < MOST_SECONDS + A_LOADED_MACHINE
    store.speak()


async def test_a_store_that_does_not_let_go_of_its_connection_is_not_waited_for() -> None:
    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.Event().wait()

    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match="did not answer"):
        await answered(hangs())

    assert time.monotonic() - begun < MOST_SECONDS + A_LOADED_MACHINE


async def test_the_gateway_goes_on_when_the_store_is_back(stage: Stage, store: FakeStore) -> None:
    store.down = True
    await stage.http.post("/v1/tasks", json=body())

    store.down = False

    assert (await stage.http.post("/v1/tasks", json=body())).status_code == 202


async def test_a_task_that_was_accepted_is_told_though_the_store_goes_while_its_end_is_awaited(
    stage: Stage, store: FakeStore
) -> None:
    submitted = asyncio.ensure_future(stage.http.post("/v1/tasks", json=body(), headers={"Prefer": "wait=5"}))
    await stage.until(lambda: any(topic.seq for topic in stage.gateway.feed.topics.values()))
    (task_id,) = store.tasks
    store.down = True

    await stage.while_time_passes(asyncio.wait([submitted]))
    answer = submitted.result()

    assert (answer.status_code, answer.json()["id"]) == (202, task_id)
    assert answer.headers["location"] == f"/v1/tasks/{task_id}"
    assert "preference-applied" not in answer.headers


async def test_readiness_names_the_store_when_it_is_down(stage: Stage, store: FakeStore) -> None:
    store.down = True

    ready = await stage.http.get("/readyz")

    assert (ready.status_code, ready.headers["content-type"]) == (503, "application/problem+json")
    assert (ready.json()["code"], ready.json()["down"], ready.json()["accepting"]) == ("unavailable", ["store"], False)
    assert (await stage.http.get("/healthz")).status_code == 200


async def test_while_the_broker_is_down_tasks_are_accepted_and_readiness_says_so(
    stage: Stage, broker: FakeBroker
) -> None:
    broker.connected = False

    submitted = await stage.http.post("/v1/tasks", json=body())
    ready = await stage.http.get("/readyz")
    of_the_store = await stage.http.get("/readyz?need=store")

    assert submitted.status_code == 202
    assert (ready.status_code, ready.json()["down"], ready.json()["accepting"]) == (503, ["broker"], True)
    assert (of_the_store.status_code, of_the_store.json()["ready"]) == (200, True)


async def test_readiness_names_the_alarm_for_which_the_broker_takes_no_messages(
    stage: Stage, broker: FakeBroker
) -> None:
    broker.connected, broker.blocked = False, "low on memory"

    ready = await stage.http.get("/readyz")

    assert (ready.status_code, ready.json()["down"]) == (503, ["broker"])
    assert ready.json()["detail"].startswith("The broker takes no messages (low on memory): tasks are accepted")


async def test_readiness_names_what_the_broker_does_not_permit(stage: Stage, broker: FakeBroker) -> None:
    broker.refuses = "publishing to backhaul.events"

    ready = await stage.http.get("/readyz")

    assert (ready.status_code, ready.json()["down"], ready.json()["accepting"]) == (503, ["broker"], True)
    assert "does not permit all of our work (publishing to backhaul.events): tasks are" in ready.json()["detail"]


async def test_a_broker_that_is_down_at_the_start_is_awaited_and_told_of_once(
    store: FakeStore, broker: FakeBroker, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker.connected = False

    with caplog.at_level(logging.INFO, "backhaul.gateway"):
        async with staged(cast("Store", store), cast("Broker", broker), clock) as stage:
            for _ in range(5):
                await stage.while_time_passes(clock.sleep(timedelta(seconds=1)))
            broker.connected = True
            await stage.while_time_passes(_heard(stage, broker))

    assert caplog.text.count("cannot be heard yet") == 1


async def _heard(stage: Stage, broker: FakeBroker) -> None:
    await stage.until(lambda: bool(broker.declared))


async def test_a_lost_live_message_is_made_good_within_5_seconds(stage: Stage, broker: FakeBroker) -> None:
    task_id = (await stage.submit())["id"]
    async with stage.follow(f"/v1/tasks/{task_id}/events", params={"after": 2}) as stream:
        await stage.watched(task_id)
        broker.lossy = True
        await stage.run(task_id, {})
        begun = stage.clock.now()

        events = await stage.while_time_passes(stream.rest())

    assert [event["id"] for event in events] == ["3", "4"]
    assert stage.clock.now() - begun <= timedelta(seconds=6)


async def test_a_jump_in_seq_is_made_good_at_once(stage: Stage, broker: FakeBroker) -> None:
    task_id = (await stage.submit())["id"]
    async with stage.follow(f"/v1/tasks/{task_id}/events", params={"after": 2}) as stream:
        await stage.watched(task_id)
        broker.lossy = True
        attempt = await stage.start(task_id)
        await attempt.output("a")
        await stage.until(lambda: any(b'"delta":"a"' in message.body for message in broker.published))
        broker.lossy = False

        await attempt.output("b")
        events = [await stream.event() for _ in range(3)]

    assert [event["id"] for event in events] == ["3", "4", "5"]


async def test_watchers_see_what_happens_while_the_broker_is_down(stage: Stage, broker: FakeBroker) -> None:
    task_id = (await stage.submit())["id"]
    async with stage.follow(f"/v1/tasks/{task_id}/events", params={"after": 2}) as stream:
        await stage.watched(task_id)
        broker.connected = False
        await stage.run(task_id, {})
        begun = stage.clock.now()

        events = await stage.while_time_passes(stream.rest())

    assert [event["id"] for event in events] == ["3", "4"]
    assert stage.clock.now() - begun <= timedelta(seconds=6)


async def test_a_reconnect_of_the_broker_is_a_reason_to_compare_at_once(stage: Stage, broker: FakeBroker) -> None:
    task_id = (await stage.submit())["id"]
    async with stage.follow(f"/v1/tasks/{task_id}/events", params={"after": 2}) as stream:
        await stage.watched(task_id)
        broker.connected = False
        await stage.run(task_id, {})
        await stage.until(lambda: not stage.relay._live)

        broker.reconnect()

        assert [event["id"] for event in await stream.rest()] == ["3", "4"]


async def test_one_question_to_the_store_compares_every_watched_task(stage: Stage, store: FakeStore) -> None:
    task_ids = [(await stage.submit())["id"] for _ in range(3)]
    waits = [
        asyncio.ensure_future(stage.http.get(f"/v1/tasks/{task_id}", headers={"Prefer": "wait=9"}))
        for task_id in task_ids
    ]
    for task_id in task_ids:
        await stage.watched(task_id)
    store.calls.clear()

    await stage.while_time_passes(asyncio.wait(waits))

    assert store.calls.count("seqs") <= 3


async def test_a_stream_outlives_an_outage_of_the_store(stage: Stage, store: FakeStore, broker: FakeBroker) -> None:
    task_id = (await stage.submit())["id"]
    async with stage.follow(f"/v1/tasks/{task_id}/events", params={"after": 2}) as stream:
        await stage.watched(task_id)
        broker.lossy = True
        await stage.run(task_id, {})
        store.down = True
        sign_of_life = await stage.while_time_passes(stream.line())

        store.down = False
        events = await stage.while_time_passes(stream.rest())

    assert sign_of_life.startswith(":")
    assert [event["id"] for event in events] == ["3", "4"]


async def test_a_stream_that_reads_the_store_goes_on_when_it_is_back(stage: Stage, store: FakeStore) -> None:
    task_id = (await stage.submit())["id"]
    attempt = await stage.start(task_id)
    await attempt.output(*range(600))
    events = store.events
    asked = 0

    async def fails_at_the_second_page(*arguments: object) -> object:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise StoreUnavailable("the database is away")
        return await events(*arguments)  # type: ignore[arg-type]

    store.events = fails_at_the_second_page  # type: ignore[assignment,method-assign]
    async with stage.follow(f"/v1/tasks/{task_id}/events", params={"after": 0}) as stream:
        await attempt.succeed({})
        seen = await stage.while_time_passes(stream.rest())

    assert [event["data"]["seq"] for event in seen] == list(range(1, 605))


async def test_a_client_that_reads_slowly_costs_a_bounded_buffer_and_misses_nothing(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]
    async with stage.follow(f"/v1/tasks/{task_id}/events", params={"after": 0}) as stream:
        await stage.watched(task_id)
        attempt = await stage.start(task_id)
        for _ in range(40):
            await attempt.output(*["x" * 10_000] * 50)
        topic = stage.gateway.feed.topics[TaskId(task_id)]
        await stage.until(lambda: topic.seq == 2003)
        buffered = sum(len(frame.sse) for frame in topic._frames)

        await attempt.succeed({})
        events = await stage.while_time_passes(stream.rest())

    assert buffered <= 1024 * 1024
    assert [event["data"]["seq"] for event in events] == list(range(1, 2005))


async def test_a_stream_of_a_task_that_is_deleted_ends(stage: Stage, store: FakeStore) -> None:
    task_id = TaskId((await stage.submit())["id"])
    async with stage.follow(f"/v1/tasks/{task_id}/events", params={"after": 2}) as stream:
        await stage.watched(task_id)
        del store.tasks[task_id], store.log[task_id]

        events = await stage.while_time_passes(stream.rest())

    assert events == []


async def test_events_that_are_no_longer_kept_leave_a_gap(stage: Stage, store: FakeStore) -> None:
    task_id = TaskId((await stage.submit())["id"])
    await stage.start(task_id)
    del store.log[task_id][:2]

    async with stage.follow(f"/v1/tasks/{task_id}/events", params={"after": 0}) as stream:
        gap = await stream.event()
    log = await stage.http.get(
        f"/v1/tasks/{task_id}/events", params={"after": 0}, headers={"Accept": "application/json"}
    )

    assert (gap["id"], gap["event"]) == ("3", "stream.gap")
    assert gap["data"]["data"]["status"] == "running"
    assert (log.status_code, log.json()["code"]) == (410, "cursor_expired")


@pytest.mark.parametrize(
    "message", [b"", b"[]", b"{}", b'{"data":{"events":[17]}}', b'{"data":{"events":[{"task_id":1}]}}']
)
async def test_a_live_message_that_cannot_be_read_does_no_harm(
    stage: Stage, broker: FakeBroker, message: bytes
) -> None:
    task_id = (await stage.submit())["id"]
    async with stage.follow(f"/v1/tasks/{task_id}/events", params={"after": 2}) as stream:
        await stage.watched(task_id)

        broker.deliver(message)
        await stage.run(task_id, {})

        assert len(await stream.rest()) == 2


async def test_a_broker_that_is_down_at_the_start_is_awaited(store: FakeStore, clock: ManualClock) -> None:
    broker = FakeBroker(connected=False)
    async with staged(cast("Store", store), cast("Broker", broker), clock) as stage:
        task_id = (await stage.submit())["id"]
        broker.reconnect()
        clock.advance(timedelta(seconds=1))
        await stage.until(lambda: bool(broker._ears))

        async with stage.follow(f"/v1/tasks/{task_id}/events", params={"after": 2}) as stream:
            await stage.run(task_id, {})
            events = await stream.rest()

    assert [event["id"] for event in events] == ["3", "4"]


async def test_a_gateway_hears_every_shard_by_a_mailbox_of_its_own(stage: Stage, broker: FakeBroker) -> None:
    await stage.until(lambda: bool(broker._ears))

    (mailbox,) = broker.declared

    assert [queue.name for queue in mailbox.queues] == [f"backhaul.live.{stage.gateway.id}"]
    assert {binding.key for binding in mailbox.bindings} == {str(shard) for shard in range(256)}


async def test_a_database_that_was_set_back_ends_the_stream_instead_of_repeating_itself(
    stage: Stage, store: FakeStore, clock: ManualClock
) -> None:
    task_id = TaskId((await stage.submit())["id"])
    with stage.gateway.feed.watch(task_id) as watcher:
        snapshot = store.tasks[task_id]
        gateway = stage.gateway
        reading = Reading(gateway.feed, stage.store, clock, watcher, snapshot, 2, gateway.links, anybody())
        watcher.topic.publish(frame(3, "task.started", b"{}"))
        watcher.topic.publish(frame(4, "task.output", b"{}"))
        watcher.topic._frames.clear()

        frames = await reading.more()

    assert (frames, reading.ended) == ([], True)


async def test_a_stop_hint_that_cannot_be_sent_delays_no_cancel(stage: Stage, broker: FakeBroker) -> None:
    task_id = (await stage.submit())["id"]
    await stage.start(task_id)
    broker.connected = False

    answer = await stage.http.post(f"/v1/tasks/{task_id}/cancel")

    assert (answer.status_code, answer.json()["status"]) == (202, "cancelling")
