"""429: too many calls, streams or waiting tasks; and which pages may call at all."""

from datetime import timedelta

import pytest

from backhaul.core.apikeys import Scope
from backhaul.settings import Rate, Settings
from tests.conformance.http.keys import new_key
from tests.conformance.http.stage import KIND, Stage, body
from tests.conformance.http.test_websocket import talking


def limited(**limits: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("settings", [Settings(**limits)])  # type: ignore[arg-type]


@limited(rate_limit=Rate(2, 1))
async def test_each_key_has_its_quota_which_fills_again(stage: Stage) -> None:
    _, one = await new_key(stage)
    _, other = await new_key(stage)

    answers = [await stage.http.get("/v1/tasks", headers=one) for _ in range(3)]
    others = await stage.http.get("/v1/tasks", headers=other)
    stage.clock.advance(timedelta(milliseconds=500))
    later = await stage.http.get("/v1/tasks", headers=one)

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["ratelimit"] for answer in answers] == [
        '"calls";r=1;t=1',
        '"calls";r=0;t=1',
        '"calls";r=0;t=1',
    ]
    assert answers[0].headers["ratelimit-policy"] == '"calls";q=2;w=1'
    assert answers[2].headers["retry-after"] == "1"
    assert answers[2].json()["code"] == "rate_limited"
    assert answers[2].json()["retryable"] is True
    assert (others.status_code, later.status_code) == (200, 200)


@limited(rate_limit=Rate(1, 60))
async def test_who_comes_without_a_key_is_limited_too_but_no_probe(stage: Stage) -> None:
    answers = [(await stage.http.get("/v1/tasks")).status_code for _ in range(2)]

    assert answers == [200, 429]
    assert (await stage.http.get("/v1/tasks")).headers["retry-after"] == "60"
    assert [(await stage.http.get("/healthz")).status_code for _ in range(3)] == [200] * 3


@limited(rate_limit=Rate(1, 60))
async def test_a_call_that_is_refused_counts_too(stage: Stage) -> None:
    _, headers = await new_key(stage, Scope.READ)

    answers = [(await stage.http.post("/v1/tasks", json=body(), headers=headers)).status_code for _ in range(2)]

    assert answers == [403, 429]


async def test_without_a_limit_nothing_is_told_of_one(stage: Stage) -> None:
    assert "ratelimit" not in (await stage.http.get("/v1/tasks")).headers


@limited(max_streams=1)
async def test_a_key_has_only_so_many_streams_and_gets_its_place_back(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]
    path, stream = f"/v1/tasks/{task_id}/events", {"Accept": "text/event-stream"}

    async with stage.follow(path):
        second = await stage.http.get(path)
        refused = await stage.http.post("/v1/tasks", json=body(key="one"), headers=stream)
        submitted = (await stage.http.get("/v1/tasks", params={"key": "one"})).json()["data"]
        log = await stage.http.get(path, headers={"Accept": "application/json"})
    await stage.until(lambda: not stage.gateway.feed.topics)

    assert (second.status_code, second.json()["code"], second.headers["retry-after"]) == (429, "rate_limited", "5")
    assert (refused.status_code, submitted, log.status_code) == (429, [], 200)
    async with stage.follow(path) as again:
        assert again.response.status_code == 200


@limited(max_streams=1, rate_limit=Rate(3, 60))
async def test_a_websocket_is_a_stream_and_each_message_a_call(stage: Stage) -> None:
    async with talking(stage) as talk:
        task_id = (await stage.submit())["id"]
        stream = await stage.http.get(f"/v1/tasks/{task_id}/events")
        answer = await talk.ask("submit", **body())

    assert stream.status_code == 429
    assert answer["error"]["code"] == "rate_limited"


@limited(max_backlog=2)
async def test_a_queue_in_which_too_much_waits_takes_no_more(stage: Stage) -> None:
    first = await stage.submit()
    stage.clock.advance(timedelta(milliseconds=1))
    batch = await stage.http.post("/v1/tasks/batch", json={"tasks": [body(), body()]})
    full = await stage.http.post("/v1/tasks", json=body())

    await stage.start(first["id"])
    stage.clock.advance(timedelta(seconds=1))
    room = await stage.http.post("/v1/tasks", json=body())

    assert len(batch.json()["tasks"]) == 1
    assert [refused["error"]["code"] for refused in batch.json()["errors"]] == ["rate_limited"]
    assert (full.status_code, full.headers["retry-after"]) == (429, "5")
    assert repr(KIND.queue) in full.json()["detail"]
    assert room.status_code == 202


@limited(cors_origins=("https://app.example",))
async def test_pages_that_are_named_may_call_and_read_what_answers_tell(stage: Stage) -> None:
    origin = {"Origin": "https://app.example"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,prefer"}

    before = await stage.http.options("/v1/tasks", headers=origin | asked)
    answer = await stage.http.post("/v1/tasks", json=body(), headers=origin)
    foreign = await stage.http.post("/v1/tasks", json=body(), headers={"Origin": "https://evil.example"})

    assert before.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "Location" in answer.headers["access-control-expose-headers"]
    assert foreign.status_code == 403


@limited(cors_origins=("*",))
async def test_on_loopback_not_all_pages_can_be_let_in(stage: Stage) -> None:
    answer = await stage.http.get("/v1/tasks", headers={"Origin": "https://evil.example"})

    assert answer.status_code == 403
