"""`POST /v1/tasks`."""

import asyncio

import pytest

from backhaul_contracts.tasks import Task
from tests.conformance.http.stage import Stage, body


async def test_a_submit_answers_202_with_the_task_and_where_it_is(stage: Stage) -> None:
    answer = await stage.http.post("/v1/tasks", json=body(metadata={"team": "blue"}, priority=7))

    task = Task.model_validate_json(answer.content, strict=False)
    assert answer.status_code == 202
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["location"] == f"/v1/tasks/{task.id}"
    assert answer.headers["link"] == f'</v1/tasks/{task.id}/events>; rel="events"'
    assert answer.headers["retry-after"] == "1"
    assert (task.status, task.done, task.attempt, task.seq) == ("queued", False, 0, 2)
    assert (task.kind, task.queue, task.priority, task.metadata) == (
        "digest.summarise",
        "digest",
        7,
        {"team": "blue"},
    )
    assert answer.json()["input"] == {"text": "One."}


async def test_a_submit_with_a_delay_is_scheduled(stage: Stage) -> None:
    task = await stage.submit(delay="10m")

    assert task["status"] == "scheduled"
    assert task["scheduled_for"] == "2030-01-01T00:10:00.000Z"


@pytest.mark.parametrize(
    ("time", "status", "scheduled_for"),
    [
        ("9999-12-31T23:59:59.999Z", "scheduled", "9999-12-31T23:59:59.999Z"),
        ("2030-01-01T01:00:00.001+01:00", "scheduled", "2030-01-01T00:00:00.001Z"),
        ("2030-01-01T00:00:00Z", "queued", None),
        ("1970-01-01T00:00:00Z", "queued", None),
        ("0001-01-01T00:00:00Z", "queued", None),
    ],
)
async def test_a_time_to_run_at_may_be_far_away_or_over(
    stage: Stage, time: str, status: str, scheduled_for: str | None
) -> None:
    task = await stage.submit(run_at=time)

    assert (task["status"], task["scheduled_for"]) == (status, scheduled_for)
    assert await stage.task(task["id"]) == task


async def test_the_same_key_answers_with_the_same_task(stage: Stage) -> None:
    first = await stage.http.post("/v1/tasks", json=body(), headers={"Idempotency-Key": "doc-17"})

    second = await stage.http.post("/v1/tasks", json=body(key="doc-17"))

    assert second.status_code == 202
    assert second.json() == first.json()
    assert second.json()["key"] == "doc-17"
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"


async def test_the_same_key_answers_200_when_its_task_is_done(stage: Stage) -> None:
    task = await stage.submit(key="doc-17")
    await stage.run(task["id"], {"sentences": []})

    again = await stage.http.post("/v1/tasks", json=body(key="doc-17"))

    assert again.status_code == 200
    assert again.json()["result"] == {"sentences": []}


async def test_members_in_another_order_are_the_same_input(stage: Stage) -> None:
    first = await stage.submit(key="doc-17", input={"text": "One.", "pages": [1]})

    second = await stage.submit(key="doc-17", input={"pages": [1.0], "text": "One."})

    assert second["id"] == first["id"]


async def test_a_key_is_not_reused_for_another_input(stage: Stage) -> None:
    task = await stage.submit(key="doc-17")

    other = await stage.http.post("/v1/tasks", json=body(key="doc-17", input={"text": "Two."}))

    assert other.status_code == 422
    assert other.json()["code"] == "idempotency_key_reused"
    assert other.json()["task_id"] == task["id"]


async def test_two_different_keys_in_one_request_are_refused(stage: Stage) -> None:
    answer = await stage.http.post("/v1/tasks", json=body(key="a"), headers={"Idempotency-Key": "b"})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert answer.json()["errors"][0]["pointer"] == "/key"


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_a_key_has_between_1_and_255_characters(stage: Stage, key: str) -> None:
    answer = await stage.http.post("/v1/tasks", json=body(), headers={"Idempotency-Key": key})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


async def test_many_at_once_with_one_key_make_one_task(stage: Stage) -> None:
    answers = await asyncio.gather(*(stage.http.post("/v1/tasks", json=body(key="doc-17")) for _ in range(20)))

    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1


async def test_an_unknown_kind_is_404_and_near_matches_are_named(stage: Stage) -> None:
    answer = await stage.http.post("/v1/tasks", json=body(kind="digest.sumarise"))

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_kind")
    assert "digest.summarise" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"input": {"text": 5}}, "/input/text"),
        ({"input": {"text": "a", "pages": [1, "b"]}}, "/input/pages/1"),
        ({"input": {}}, "/input"),
        ({"inptu": {}}, "/inptu"),
        ({"priority": 101}, "/priority"),
        ({"priority": 1.5}, "/priority"),
        ({"delay": "soon"}, "/delay"),
        ({"queue": "nowhere"}, "/queue"),
        ({"delay": "10s", "expires_in": "10s"}, "/expires_in"),
        ({"max_attempts": 0}, "/max_attempts"),
        ({"metadata": {"a": 1}}, "/metadata/a"),
        ({"parent_id": "tsk_1"}, "/parent_id"),
    ],
)
async def test_what_is_wrong_is_pointed_at_from_the_body_s_root(
    stage: Stage, fields: dict[str, object], pointer: str
) -> None:
    answer = await stage.http.post("/v1/tasks", json=body(**fields))

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_prefer_wait_answers_200_as_soon_as_the_task_is_done(stage: Stage) -> None:
    waiting = asyncio.ensure_future(
        stage.http.post("/v1/tasks", json=body(key="doc-17"), headers={"Prefer": "wait=30"})
    )
    task = await stage.submit(key="doc-17")
    assert not waiting.done()

    await stage.run(task["id"], {"sentences": ["One."]})

    answer = await waiting
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "wait=30"
    assert answer.json()["result"] == {"sentences": ["One."]}
    assert "retry-after" not in answer.headers


async def test_prefer_wait_answers_202_when_the_time_is_over(stage: Stage) -> None:
    waiting = stage.http.post("/v1/tasks", json=body(), headers={"Prefer": "respond-async, wait=300"})

    answer = await stage.while_time_passes(waiting)

    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "wait=50"
    assert answer.json()["status"] == "queued"


async def test_a_preference_that_makes_no_sense_is_ignored(stage: Stage) -> None:
    answer = await stage.http.post("/v1/tasks", json=body(), headers={"Prefer": "wait=soon"})

    assert answer.status_code == 202
    assert "preference-applied" not in answer.headers


async def test_a_submit_can_be_answered_with_the_stream_of_its_task(stage: Stage) -> None:
    async with stage.follow(
        "/v1/tasks", "POST", json=body(key="doc-17"), headers={"Accept": "text/event-stream"}
    ) as stream:
        task = await stage.submit(key="doc-17")
        await stage.run(task["id"], {})
        events = await stream.rest()

    assert stream.response.status_code == 200
    assert stream.response.headers["content-type"] == "text/event-stream"
    assert stream.response.headers["location"] == f"/v1/tasks/{task['id']}"
    assert [event["event"] for event in events] == ["task.accepted", "task.queued", "task.started", "task.succeeded"]


async def test_a_replayed_submit_streams_everything_there_is(stage: Stage) -> None:
    task = await stage.submit(key="doc-17")
    await stage.run(task["id"], {})

    async with stage.follow(
        "/v1/tasks", "POST", json=body(key="doc-17"), headers={"Accept": "text/event-stream"}
    ) as stream:
        events = await stream.rest()

    assert stream.response.headers["idempotency-replayed"] == "true"
    assert [event["id"] for event in events] == ["1", "2", "3", "4"]
