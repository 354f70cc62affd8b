"""Streams of many tasks and WebSockets while the store or the broker fail."""

import json
from datetime import timedelta
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.conformance.http.stage import Stage, body
from tests.unit.gateway.fakes import FakeBroker, FakeStore


async def say(connection: ClientConnection, **message: Any) -> dict[str, Any]:
    await connection.send(json.dumps(message))
    return await hear(connection)


async def hear(connection: ClientConnection) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(await connection.recv())
    return said


async def socket(stage: Stage) -> ClientConnection:
    url = (await stage.serve()).replace("http", "ws") + "/v1/ws"
    return await connect(url, proxy=None, ping_interval=None)


async def test_lost_live_messages_are_made_good_for_every_subscription(stage: Stage, broker: FakeBroker) -> None:
    task_ids = [(await stage.submit())["id"] for _ in range(3)]
    async with await socket(stage) as connection:
        for task_id in task_ids:
            await say(connection, op="subscribe", task_id=task_id, after=2)
        broker.lossy = True
        for task_id in task_ids:
            await stage.http.post(f"/v1/tasks/{task_id}/cancel")
        begun = stage.clock.now()

        events = [await stage.while_time_passes(hear(connection)) for _ in task_ids]

    assert {(event["task_id"], event["seq"]) for event in events} == {(task_id, 3) for task_id in task_ids}
    assert stage.clock.now() - begun <= timedelta(seconds=7)


async def test_while_the_store_is_down_everything_is_unavailable_and_the_connection_goes_on(
    stage: Stage, store: FakeStore
) -> None:
    task_id = (await stage.submit())["id"]
    async with await socket(stage) as connection:
        store.down = True
        refused = [
            await say(connection, op="subscribe", ref=1, task_id=task_id, after=2),
            await say(connection, op="submit", ref=2, **body()),
            await say(connection, op="cancel", ref=3, task_id=task_id),
        ]
        store.down = False
        again = await say(connection, op="subscribe", ref=4, task_id=task_id, after=2)

    assert [(said["op"], said["ref"], said["error"]["code"]) for said in refused] == [
        ("error", 1, "unavailable"),
        ("error", 2, "unavailable"),
        ("error", 3, "unavailable"),
    ]
    assert all(said["error"]["retryable"] for said in refused)
    assert (again["op"], again["ref"]) == ("ack", 4)


async def test_a_stream_of_many_tasks_shows_a_gap_where_the_store_could_not_say_whose_tasks_they_are(
    stage: Stage, store: FakeStore
) -> None:
    async with stage.follow("/v1/events") as stream:
        before = (await stage.submit())["id"]
        told = [await stream.event() for _ in range(2)]
        store.failing = {"records"}
        await stage.submit()
        gap = await stream.event()
        store.failing = set()
        await stage.http.post(f"/v1/tasks/{before}/cancel")
        after = await stream.event()

    assert [event["event"] for event in told] == ["task.accepted", "task.queued"]
    assert (gap["event"], gap["data"]["data"]) == ("stream.gap", {"reason": "lost"})
    assert after["event"] == "task.cancelled"
