"""`GET /v1/tasks/{id}/events` as Server-Sent Events."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from backhaul_contracts.tasks import Task
from tests.conformance.http.stage import Stage


def path(task_id: str) -> str:
    return f"/v1/tasks/{task_id}/events"


async def test_a_stream_from_0_tells_everything_and_ends_with_the_task(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]

    async with stage.follow(path(task_id), params={"after": 0}) as stream:
        attempt = await stage.start(task_id)
        await attempt.progress(1, 2)
        await attempt.output("Hel", "lo", {"n": 1})
        await attempt.log("half way")
        await attempt.succeed({"sentences": []})
        events = await stream.rest()

    assert [event["event"].removeprefix("task.") for event in events] == [
        "accepted",
        "queued",
        "started",
        "progress",
        "output",
        "output",
        "output",
        "log",
        "succeeded",
    ]
    assert [event["id"] for event in events] == [str(seq) for seq in range(1, 10)]
    assert all(event["data"]["seq"] == int(event["id"]) for event in events)
    assert all(event["data"]["type"] == event["event"] for event in events)
    assert {event["data"]["task_id"] for event in events} == {task_id}
    assert events[4]["data"]["data"] == {"delta": "Hel"}
    assert events[4]["data"]["attempt"] == 1
    assert events[8]["data"]["data"] == {"result": {"sentences": []}}


async def test_a_stream_has_the_headers_of_one(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]

    async with stage.follow(path(task_id)) as stream:
        headers = stream.response.headers

    assert stream.response.status_code == 200
    assert headers["content-type"] == "text/event-stream"
    assert headers["cache-control"] == "no-store"
    assert headers["x-accel-buffering"] == "no"


async def test_without_a_cursor_a_stream_begins_with_the_task(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]
    await stage.start(task_id)

    async with stage.follow(path(task_id)) as stream:
        snapshot = await stream.event()

    assert (snapshot["id"], snapshot["event"]) == ("3", "task.snapshot")
    assert (snapshot["data"]["type"], snapshot["data"]["seq"]) == ("task.snapshot", 3)
    assert snapshot["data"]["data"] == await stage.task(task_id)
    assert Task.model_validate(snapshot["data"]["data"]).status == "running"


async def test_after_the_snapshot_comes_what_follows(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]

    async with stage.follow(path(task_id)) as stream:
        await stream.event()
        await stage.run(task_id, {})
        events = await stream.rest()

    assert [event["id"] for event in events] == ["3", "4"]


async def test_the_stream_of_a_done_task_is_its_snapshot(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]
    await stage.run(task_id, {"sentences": []})

    async with stage.follow(path(task_id)) as stream:
        events = await stream.rest()

    assert [event["event"] for event in events] == ["task.snapshot"]
    assert events[0]["data"]["data"]["result"] == {"sentences": []}


@pytest.mark.parametrize(
    "cursor",
    [
        {"headers": {"Last-Event-ID": "2"}},
        {"params": {"after": "2"}},
        {"headers": {"Last-Event-ID": "2"}, "params": {"after": "4"}},
    ],
)
async def test_a_stream_resumes_behind_its_cursor(stage: Stage, cursor: dict[str, Any]) -> None:
    task_id = (await stage.submit())["id"]
    attempt = await stage.start(task_id)
    await attempt.output("a", "b")

    async with stage.follow(path(task_id), **cursor) as stream:
        await attempt.succeed({})
        events = await stream.rest()

    assert [event["id"] for event in events] == ["3", "4", "5", "6"]


async def test_a_reconnect_at_the_end_of_a_done_task_is_204_until_a_retry(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]
    await (await stage.start(task_id)).fail()

    at_end = await stage.http.get(path(task_id), headers={"Last-Event-ID": "4"})
    await stage.http.post(f"/v1/tasks/{task_id}/retry")
    async with stage.follow(path(task_id), headers={"Last-Event-ID": "4"}) as stream:
        await stage.run(task_id, {})
        events = await stream.rest()

    assert (at_end.status_code, at_end.content) == (204, b"")
    assert [event["event"] for event in events] == ["task.queued", "task.started", "task.succeeded"]


async def test_a_terminal_event_of_an_earlier_run_does_not_end_the_stream(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]
    await (await stage.start(task_id)).fail()
    await stage.http.post(f"/v1/tasks/{task_id}/retry")

    async with stage.follow(path(task_id), params={"after": 0}) as stream:
        await stage.run(task_id, {})
        events = await stream.rest()

    assert [event["event"].removeprefix("task.") for event in events] == [
        "accepted",
        "queued",
        "started",
        "failed",
        "queued",
        "started",
        "succeeded",
    ]


@pytest.mark.parametrize("cursor", ["3", "-1", "x", "1.5", "\u0661", "99999999999999999999"])
async def test_a_cursor_that_is_none_is_refused(stage: Stage, cursor: str) -> None:
    task_id = (await stage.submit())["id"]

    in_query = await stage.http.get(path(task_id), params={"after": cursor})
    in_header = await stage.http.get(path(task_id), headers=[(b"last-event-id", cursor.encode())])

    assert [in_query.status_code, in_header.status_code] == [422, 422]
    assert in_query.json()["code"] == "invalid_input"
    assert in_query.json()["errors"][0]["pointer"] == "/after"


async def test_events_come_in_two_forms_only(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]

    answer = await stage.http.get(path(task_id), headers={"Accept": "text/html"})

    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


async def test_a_stream_gives_a_sign_of_life_every_15_seconds(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]

    async with stage.follow(path(task_id)) as stream:
        await stream.event()
        line = await stage.while_time_passes(stream.line(), timedelta(seconds=15))

    assert line.startswith(":")


async def test_leaving_a_stream_is_noticed_at_once_and_cancels_nothing(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]
    async with stage.follow(path(task_id)) as stream:
        await stream.event()
        assert task_id in stage.gateway.feed.topics

    await stage.until(lambda: not stage.gateway.feed.topics)

    assert (await stage.task(task_id))["status"] == "queued"


async def test_many_watchers_of_one_task_see_the_same(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]

    async with (
        stage.follow(path(task_id), params={"after": 0}) as first,
        stage.follow(path(task_id), params={"after": 1}) as second,
        stage.follow(path(task_id)) as third,
    ):
        await third.event()
        await stage.run(task_id, {})
        seen = [await stream.rest() for stream in (first, second, third)]

    assert [[event["id"] for event in events] for events in seen] == [
        ["1", "2", "3", "4"],
        ["2", "3", "4"],
        ["3", "4"],
    ]
    assert seen[0][2:] == seen[2]


async def test_a_server_that_stops_ends_streams_at_once_and_says_when_to_come_back(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]

    async with stage.follow(path(task_id)) as stream:
        await stream.event()
        async with asyncio.timeout(2):
            await stage.stop_serving()
        lines = [line async for line in stream.remaining()]

    assert lines == ["retry: 1000", ""]


async def test_a_stream_of_no_task_is_404(stage: Stage) -> None:
    answer = await stage.http.get(path("tsk_01m86m4bnpe27a597p8ew55k2g"))
    nonsense = await stage.http.get(path("17"))

    assert [answer.status_code, nonsense.status_code] == [410, 404]


async def test_head_of_a_stream_ends(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]

    answer = await stage.http.head(path(task_id))

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
