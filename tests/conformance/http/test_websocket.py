"""`WS /v1/ws`: many tasks on one connection."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from backhaul.gateway.api import conversation
from backhaul_contracts.ids import TaskId
from backhaul_contracts.tasks import Task
from tests.conformance.http.stage import Stage, body


class Talk:
    """One WebSocket, as a client sees it."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, op: str, **fields: Any) -> None:
        await self.connection.send(json.dumps({"op": op, **fields}))

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            text = await self.connection.recv()
        assert isinstance(text, str)
        said: dict[str, Any] = json.loads(text)
        return said

    async def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        await self.say(op, **fields)
        return await self.hear()

    async def events(self, count: int) -> list[dict[str, Any]]:
        return [await self.hear() for _ in range(count)]

    async def closed(self) -> int:
        """The code with which the server closes."""
        async with asyncio.timeout(5):
            await self.connection.wait_closed()
        assert self.connection.close_code is not None
        return self.connection.close_code


@asynccontextmanager
async def talking(stage: Stage, **options: Any) -> AsyncIterator[Talk]:
    url = (await stage.serve()).replace("http", "ws") + "/v1/ws"
    async with connect(url, proxy=None, **{"subprotocols": ["backhaul.v1"], **options}) as connection:
        yield Talk(connection)


async def test_a_subscription_from_0_tells_everything_in_the_same_words_as_the_log(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]

    async with talking(stage) as talk:
        ack = await talk.ask("subscribe", ref="a", task_id=task_id, after=0)
        attempt = await stage.start(task_id)
        await attempt.output("Hel", "lo", {"n": 1})
        await attempt.succeed({"sentences": []})
        async with asyncio.timeout(5):
            told = [await talk.connection.recv() for _ in range(7)]

    log = await stage.http.get(f"/v1/tasks/{task_id}/events", headers={"Accept": "application/json"})
    assert talk.connection.subprotocol == "backhaul.v1"
    assert ack == {"op": "ack", "ref": "a", "task_id": task_id, "seq": 2, "done": False}
    assert f'{{"data":[{",".join(map(str, told))}],"next_after":7,"done":true}}' == log.text


async def test_without_a_cursor_it_begins_with_the_task(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]

    async with talking(stage) as talk:
        await talk.ask("subscribe", task_id=task_id)
        snapshot = await talk.hear()
        await stage.run(task_id, {})
        events = await talk.events(2)

    assert (snapshot["type"], snapshot["seq"]) == ("task.snapshot", 2)
    assert Task.model_validate(snapshot["data"]).status == "queued"
    assert [event["seq"] for event in events] == [3, 4]


async def test_many_tasks_are_followed_on_one_connection_each_without_a_gap(stage: Stage) -> None:
    attempts = [await stage.start((await stage.submit())["id"]) for _ in range(5)]
    task_ids = [attempt.task_id for attempt in attempts]

    async with talking(stage) as talk:
        for task_id in task_ids:
            assert (await talk.ask("subscribe", task_id=task_id, after=3))["op"] == "ack"
        for turn in range(10):
            for attempt in attempts:
                await attempt.output(f"{turn}")
        for attempt in attempts:
            await attempt.succeed({})
        events = await talk.events(5 * 11)

    for task_id in task_ids:
        assert [event["seq"] for event in events if event["task_id"] == task_id] == list(range(4, 15))


async def test_a_task_goes_on_over_another_gateway_where_the_last_one_stopped(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]
    attempt = await stage.start(task_id)
    async with talking(stage) as talk:
        await talk.ask("subscribe", task_id=task_id, after=0)
        await attempt.output("a")
        seen = await talk.events(4)
        await stage.stop_serving()
        code = await talk.closed()
    await attempt.output("b")
    stage.url, stage.gateway.feed.closing = None, False

    async with talking(stage) as talk:
        await talk.ask("subscribe", task_id=task_id, after=seen[-1]["seq"])
        await attempt.succeed({})
        seen += await talk.events(2)

    assert code == 1012
    assert [event["seq"] for event in seen] == [1, 2, 3, 4, 5, 6]


async def test_at_the_end_of_a_done_task_nothing_follows_and_the_ack_says_so(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]
    await stage.run(task_id, {})

    async with talking(stage) as talk:
        at_end = await talk.ask("subscribe", task_id=task_id, after=4)
        await talk.ask("subscribe", task_id=task_id)
        snapshot = await talk.hear()
        pong = await talk.ask("ping", ref=1)
        watched = bool(stage.gateway.feed.topics)

    assert at_end == {"op": "ack", "ref": None, "task_id": task_id, "seq": 4, "done": True}
    assert snapshot["data"]["done"] is True
    assert pong == {"op": "pong", "ref": 1}
    assert not watched


async def test_unsubscribing_ends_the_events_and_nothing_else(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]

    async with talking(stage) as talk:
        await talk.ask("subscribe", task_id=task_id, after=2)
        ack = await talk.ask("unsubscribe", ref="u", task_id=task_id)
        await stage.run(task_id, {})
        pong = await talk.ask("ping", ref="p")

    assert ack == {"op": "ack", "ref": "u"}
    assert pong == {"op": "pong", "ref": "p"}
    assert (await stage.task(task_id))["status"] == "succeeded"


async def test_a_second_subscription_to_a_task_takes_the_place_of_the_first(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]

    async with talking(stage) as talk:
        await talk.ask("subscribe", task_id=task_id, after=2)
        await talk.ask("subscribe", task_id=task_id, after=1)
        await stage.run(task_id, {})
        events = await talk.events(3)
        pong = await talk.ask("ping")

    assert [event["seq"] for event in events] == [2, 3, 4]
    assert pong["op"] == "pong"


async def test_a_task_is_submitted_and_cancelled(stage: Stage) -> None:
    async with talking(stage) as talk:
        accepted = await talk.ask("submit", ref="s", **body(key="doc-17"))
        repeated = await talk.ask("submit", ref="t", **body(key="doc-17"))
        cancelled = await talk.ask("cancel", ref="c", task_id=accepted["task"]["id"], reason="enough")

    assert (accepted["op"], accepted["ref"]) == ("ack", "s")
    assert Task.model_validate(accepted["task"]).key == "doc-17"
    assert repeated["task"]["id"] == accepted["task"]["id"]
    assert (cancelled["ref"], cancelled["task"]["status"]) == ("c", "cancelled")
    assert cancelled["task"]["cancel"]["reason"] == "enough"
    assert await stage.task(accepted["task"]["id"]) == cancelled["task"]


@pytest.mark.parametrize(
    ("said", "code", "pointer"),
    [
        ("{", "malformed_json", None),
        ("[]", "invalid_input", ""),
        (b"{}", "unsupported_media_type", None),
        ("{}", "invalid_input", "/op"),
        ('{"op":"dance","ref":"r"}', "invalid_input", "/op"),
        ('{"op":["subscribe"]}', "invalid_input", "/op"),
        ('{"op":"ping","ref":{}}', "invalid_input", None),
        ('{"op":"ping","ref":"\\ud800"}', "malformed_json", None),
        ('{"op":"ping","ref":1.5}', "invalid_input", None),
        ('{"op":"ping","more":1}', "invalid_input", "/more"),
        ('{"op":"subscribe"}', "invalid_input", "/task_id"),
        ('{"op":"subscribe","task_id":"tsk_1"}', "not_found", None),
        ('{"op":"subscribe","task_id":"tsk_1","after":-1}', "invalid_input", "/after"),
        ('{"op":"submit","kind":"digest.summarize","input":{}}', "unknown_kind", None),
        ('{"op":"submit","kind":"digest.summarise","input":{"text":1}}', "invalid_input", "/input/text"),
        ('{"op":"submit","kind":"digest.summarise","input":{"text":"x"},"extra":1}', "invalid_input", "/extra"),
        ('{"op":"cancel","task_id":"tsk_00000000000000000000000000"}', "gone", None),
    ],
)
async def test_what_cannot_be_done_is_told_and_the_connection_goes_on(
    stage: Stage, said: str | bytes, code: str, pointer: str | None
) -> None:
    async with talking(stage) as talk:
        await talk.connection.send(said)
        error = await talk.hear()
        pong = await talk.ask("ping", ref="still there")

    assert error["op"] == "error"
    assert error["error"]["code"] == code
    assert error["error"]["type"] == f"https://backhaul.dev/problems/{code}"
    assert pointer is None or pointer in [fault["pointer"] for fault in error["error"]["errors"]]
    assert pong == {"op": "pong", "ref": "still there"}


async def test_a_refusal_carries_the_mark_of_what_is_refused(stage: Stage) -> None:
    async with talking(stage) as talk:
        error = await talk.ask("subscribe", ref=7, task_id="tsk_1")

    assert (error["op"], error["ref"], error["error"]["status"]) == ("error", 7, 404)


async def test_a_cursor_beyond_the_end_is_refused(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]

    async with talking(stage) as talk:
        error = await talk.ask("subscribe", task_id=task_id, after=99)

    assert error["error"]["code"] == "invalid_input"
    assert not stage.gateway.feed.topics


async def test_a_message_beyond_the_limit_ends_the_connection(stage: Stage) -> None:
    async with talking(stage) as talk:
        await talk.connection.send(" " * (stage.gateway.settings.max_body + 1))
        code = await talk.closed()

    assert code == 1009


async def test_subscriptions_on_one_connection_are_limited(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "MOST_SUBSCRIPTIONS", 1)
    first, second = (await stage.submit())["id"], (await stage.submit())["id"]

    async with talking(stage) as talk:
        await talk.ask("subscribe", task_id=first, after=2)
        refused = await talk.ask("subscribe", task_id=second, after=2)
        again = await talk.ask("subscribe", task_id=first, after=2)
        await talk.ask("unsubscribe", task_id=first)
        instead = await talk.ask("subscribe", task_id=second, after=2)

    assert refused["error"]["code"] == "rate_limited"
    assert (again["op"], instead["op"]) == ("ack", "ack")


async def test_a_deleted_task_ends_its_subscription_with_an_error(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]

    async with talking(stage) as talk:
        await talk.ask("subscribe", ref="s", task_id=task_id, after=2)
        stage.gateway.feed.topics[TaskId(task_id)].vanish()
        gone = await talk.hear()

    assert (gone["op"], gone["ref"], gone["error"]["code"]) == ("error", "s", "not_found")


async def test_a_client_that_does_not_read_holds_up_nobody_and_misses_nothing(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]
    attempt = await stage.start(task_id)
    other_id = (await stage.submit())["id"]

    async with talking(stage, max_queue=1) as slow, talking(stage) as quick:
        for talk in (slow, quick):
            await talk.ask("subscribe", task_id=task_id, after=3)
        text = "x" * 10_000
        seen = []
        for _ in range(60):  # many times what buffers on the way hold
            await attempt.output(*[text] * 10)
            seen += await quick.events(10)
        topic = next(iter(stage.gateway.feed.topics.values()))
        buffered = sum(len(frame.sse) for frame in topic._frames)
        await quick.ask("subscribe", task_id=other_id, after=2)
        caught_up = await slow.events(600)

    assert [event["seq"] for event in caught_up] == [event["seq"] for event in seen] == list(range(4, 604))
    assert buffered <= 1024 * 1024


async def test_a_client_that_leaves_is_forgotten_and_its_task_goes_on(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]

    async with talking(stage) as talk:
        await talk.ask("subscribe", task_id=task_id)
    await stage.until(lambda: not stage.gateway.feed.topics)
    await stage.run(task_id, {})

    assert (await stage.task(task_id))["status"] == "succeeded"
    assert not stage.gateway.feed.attendants


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"origin": "https://elsewhere.example"}, 403),
        ({"additional_headers": {"Host": "rebound.example"}}, 403),
        ({"subprotocols": ["soap"]}, 422),
    ],
)
async def test_a_handshake_that_is_refused_is_told_why(stage: Stage, options: dict[str, Any], status: int) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with talking(stage, **options):
            pass

    assert refused.value.response.status_code == status
    assert json.loads(refused.value.response.body or b"")["status"] == status


async def test_a_client_without_a_subprotocol_is_served_alike(stage: Stage) -> None:
    async with talking(stage, subprotocols=None) as talk:
        pong = await talk.ask("ping", ref="p")

    assert talk.connection.subprotocol is None
    assert pong == {"op": "pong", "ref": "p"}
