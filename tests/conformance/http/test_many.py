"""`GET /v1/events`: what happens to many tasks, on one stream."""

import asyncio
import json
from typing import Any

import pytest

from backhaul.broker.memory import MemoryBroker
from backhaul.core.clock import from_ms
from backhaul.core.messages.announcements import live_message
from backhaul.core.task.record import Event, RawJson
from backhaul.gateway.push import wide
from backhaul_contracts.events import Event as EventObject
from backhaul_contracts.events import EventType
from backhaul_contracts.ids import TaskId, new_task_id
from tests.conformance.http.stage import Stage, body

PATH = "/v1/events"


def seen(events: list[dict[str, Any]]) -> list[str]:
    return [f"{event['data']['task_id']}:{event['event'].partition('.')[2]}" for event in events]


async def test_it_tells_of_every_task_from_now_on_and_of_which(stage: Stage) -> None:
    before = (await stage.submit())["id"]
    attempt = await stage.start(before)
    await stage.until(lambda: not stage.relay._live)

    async with stage.follow(PATH) as stream:
        await attempt.output("Hel")
        await attempt.succeed({"n": 1})
        after = (await stage.submit())["id"]
        events = [await stream.event() for _ in range(4)]

    assert stream.response.headers["content-type"] == "text/event-stream"
    assert seen(events) == [f"{before}:output", f"{before}:succeeded", f"{after}:accepted", f"{after}:queued"]
    assert [event["id"] for event in events] == [f"{before}:4", f"{before}:5", f"{after}:1", f"{after}:2"]


async def test_the_event_objects_are_those_of_the_log_byte_for_byte(stage: Stage) -> None:
    async with stage.follow(PATH) as stream:
        task_id = (await stage.submit(metadata={"é": "ü"}))["id"]
        attempt = await stage.start(task_id)
        await attempt.output({"n": 1.50, "t": "ü"})
        await attempt.succeed({})
        told: list[str] = []
        while len(told) < 5:
            line = await stream.line()
            told += [line.removeprefix("data: ")] if line.startswith("data: ") else []

    log = await stage.http.get(f"/v1/tasks/{task_id}/events", headers={"Accept": "application/json"})
    assert f'{{"data":[{",".join(told)}],"next_after":5,"done":true}}' == log.text


@pytest.mark.parametrize(
    ("params", "submitted", "types"),
    [
        ({"kind": "digest.summarise"}, {}, ["accepted", "queued", "started", "output", "succeeded"]),
        ({"queue": "digest"}, {}, ["accepted", "queued", "started", "output", "succeeded"]),
        ({"type": ["task.succeeded", "task.failed"]}, {}, ["succeeded"]),
        ({"status": "queued"}, {}, ["accepted", "queued"]),
        ({"status": ["running", "succeeded"]}, {}, ["started", "output", "succeeded"]),
        ({"key": "doc-17"}, {"key": "doc-17"}, ["accepted", "queued", "started", "output", "succeeded"]),
        ({"metadata.team": "a", "type": "task.started"}, {"metadata": {"team": "a", "more": "b"}}, ["started"]),
    ],
)
async def test_only_what_fits_is_told(
    stage: Stage, params: dict[str, Any], submitted: dict[str, Any], types: list[str]
) -> None:
    async with stage.follow(PATH, params=params) as stream:
        task_id = (await stage.submit(**submitted))["id"]
        attempt = await stage.start(task_id)
        await attempt.output("x")
        await attempt.succeed({})
        events = [await stream.event() for _ in types]

    assert seen(events) == [f"{task_id}:{name}" for name in types]


@pytest.mark.parametrize(
    "params",
    [
        {"kind": "digest.other"},
        {"queue": "other"},
        {"key": "doc-18"},
        {"metadata.team": "b"},
        {"metadata.other": "a"},
        {"parent_id": "tsk_01m86m4bnpe27a597p8ew55k2g"},
    ],
)
async def test_what_does_not_fit_is_not_told(stage: Stage, params: dict[str, str]) -> None:
    async with stage.follow(PATH, params=params) as stream, stage.follow(PATH) as other:
        await stage.submit(key="doc-17", metadata={"team": "a"})
        await other.event()
        await other.event()
        stage.gateway.feed.wide.miss()
        event = await stream.event()

    assert event["event"] == "stream.gap"


async def test_the_children_of_a_task_are_chosen_by_their_parent(stage: Stage) -> None:
    parent_id = (await stage.submit())["id"]

    async with stage.follow(PATH, params={"parent_id": parent_id}) as stream:
        await stage.submit()
        child_id = (await stage.submit(parent_id=parent_id))["id"]
        event = await stream.event()

    assert event["data"]["task_id"] == child_id


async def test_a_scheduled_task_is_scheduled_from_its_first_event_on(stage: Stage) -> None:
    async with stage.follow(PATH, params={"status": "scheduled"}) as stream:
        await stage.submit()
        task_id = (await stage.submit(delay="1h"))["id"]
        events = [await stream.event() for _ in range(2)]

    assert seen(events) == [f"{task_id}:accepted", f"{task_id}:scheduled"]


@pytest.mark.parametrize("cursor", ["tsk_01m86m4bnpe27a597p8ew55k2g:17", "whatever"])
async def test_a_reconnect_begins_with_a_gap(stage: Stage, cursor: str) -> None:
    async with stage.follow(PATH, headers={"Last-Event-ID": cursor}) as stream:
        gap = await stream.event()
        task_id = (await stage.submit())["id"]
        event = await stream.event()

    assert "id" not in gap
    assert gap["event"] == "stream.gap"
    assert gap["data"]["data"] == {"reason": "reconnect"}
    assert EventObject.model_validate(gap["data"]).type == "stream.gap"
    assert event["data"]["task_id"] == task_id


async def test_a_lost_live_message_shows_as_a_gap(stage: Stage) -> None:
    async with stage.follow(PATH) as stream:
        await stage.submit()
        seen_before = [await stream.event() for _ in range(2)]
        stage.relay._leave_out()  # as after a publish that failed
        task_id = (await stage.submit())["id"]
        gap, event = await stream.event(), await stream.event()

    assert [each["event"] for each in seen_before] == ["task.accepted", "task.queued"]
    assert (gap["event"], gap["data"]["data"]) == ("stream.gap", {"reason": "lost"})
    assert event["data"]["task_id"] == task_id


async def test_a_repeated_live_message_is_told_once(stage: Stage) -> None:
    task_id = TaskId((await stage.submit())["id"])
    events = [Event(task_id, seq, 0, EventType.QUEUED, from_ms(0), RawJson("{}")) for seq in (1, 2)]
    messages = [live_message([event], f"live_x-{number}") for number, event in enumerate(events)]

    async with stage.follow(PATH) as stream:
        await stage.broker.publish([messages[0], messages[0], messages[1], messages[0]])
        told = [await stream.event() for _ in range(2)]
        stage.gateway.feed.wide.miss()
        end = await stream.event()

    assert [event["data"]["seq"] for event in told] == [1, 2]
    assert end["event"] == "stream.gap"


async def test_a_lost_connection_to_the_broker_shows_as_a_gap(stage: Stage) -> None:
    assert isinstance(stage.broker, MemoryBroker)

    async with stage.follow(PATH) as stream:
        stage.broker.disconnect()
        gap = await stream.event()

    assert gap["data"]["data"] == {"reason": "lost"}


async def test_a_task_that_is_not_in_the_store_is_passed_over(stage: Stage) -> None:
    stray = live_message([Event(new_task_id(), 1, 0, EventType.QUEUED, from_ms(0), RawJson("{}"))])

    async with stage.follow(PATH) as stream:
        await stage.broker.publish([stray])
        task_id = (await stage.submit())["id"]
        event = await stream.event()

    assert event["data"]["task_id"] == task_id


async def test_a_slow_client_finds_a_gap_and_goes_on_with_what_is_new(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wide, "_MOST_FRAMES", 20)
    task_id = (await stage.submit())["id"]
    attempt = await stage.start(task_id)

    async with stage.follow(PATH) as slow, stage.follow(PATH) as quick:
        for _ in range(60):  # many times what buffers on the way hold
            await attempt.output(*["x" * 10_000] * 10)
            for _ in range(10):
                await quick.event()
        buffered = max(len(watcher._frames) for watcher in stage.gateway.feed.wide.watchers)
        await attempt.succeed({})
        events: list[dict[str, Any]] = []
        while not events or events[-1]["event"] != "task.succeeded":
            events.append(await slow.event())

    gaps = [event for event in events if event["event"] == "stream.gap"]
    assert {json.dumps(gap["data"]["data"]) for gap in gaps} == {'{"reason": "slow"}'}
    assert len(events) < 600
    assert buffered <= 20


async def test_a_stream_gives_signs_of_life_and_ends_when_the_gateway_stops(stage: Stage) -> None:
    async with stage.follow(PATH) as stream:
        await stage.until(lambda: bool(stage.gateway.feed.attendants))
        comment = await stage.while_time_passes(stream.line())
        await stage.stop_serving()
        rest = [line async for line in stream.remaining()]

    assert comment == ": keep-alive"
    assert rest[-2:] == ["retry: 1000", ""]
    assert not stage.gateway.feed.wide.watchers


@pytest.mark.parametrize(
    ("params", "headers", "status"),
    [
        ({"status": "lost"}, {}, 422),
        ({"type": "task.snapshot"}, {}, 422),
        ({"parent_id": "tsk_1"}, {}, 422),
        ({"limit": "1"}, {}, 422),
        ({"kind": ["a.b", "c.d"]}, {}, 422),
        ({}, {"Accept": "application/json"}, 406),
    ],
)
async def test_what_cannot_be_followed_is_refused(
    stage: Stage, params: dict[str, Any], headers: dict[str, str], status: int
) -> None:
    answer = await stage.http.get(PATH, params=params, headers=headers)

    assert answer.status_code == status


async def test_tasks_of_other_tenants_are_not_told(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]

    subject = (await stage.gateway.feed.wide.subjects.of([task_id]))[task_id]

    assert wide.Choice(tenant="default").takes(subject, EventType.QUEUED)
    assert not wide.Choice(tenant="other").takes(subject, EventType.QUEUED)


async def test_nothing_is_asked_of_the_store_while_nobody_follows(stage: Stage) -> None:
    await stage.submit()
    async with asyncio.timeout(5):
        await stage.http.post("/v1/tasks", json=body(), headers={"Prefer": "wait=0"})

    assert not stage.gateway.feed.wide.subjects._known
