"""`GET /v1/tasks/{id}/events` with `Accept: application/json`."""

from typing import Any

import pytest

from backhaul_contracts.events import EventPage
from tests.conformance.http.stage import Stage

JSON = {"Accept": "application/json"}


async def log(stage: Stage, task_id: str, **params: Any) -> dict[str, Any]:
    answer = await stage.http.get(f"/v1/tasks/{task_id}/events", params=params, headers=JSON)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def test_the_log_is_read_page_by_page(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]
    await stage.run(task_id, {})

    first = await log(stage, task_id, limit=3)
    second = await log(stage, task_id, limit=3, after=first["next_after"])
    third = await log(stage, task_id, limit=3, after=second["next_after"])

    assert [event["seq"] for event in first["data"]] == [1, 2, 3]
    assert (first["next_after"], first["done"]) == (3, False)
    assert [event["seq"] for event in second["data"]] == [4]
    assert (second["next_after"], second["done"]) == (4, True)
    assert third == {"data": [], "next_after": 4, "done": True}


async def test_the_log_of_a_task_that_goes_on_is_not_done(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]

    page = await log(stage, task_id)

    assert EventPage.model_validate(page).next_after == 2
    assert page["done"] is False
    assert [event["type"] for event in page["data"]] == ["task.accepted", "task.queued"]


async def test_the_log_shows_events_as_the_stream_does(stage: Stage) -> None:
    task_id = (await stage.submit())["id"]
    async with stage.follow(f"/v1/tasks/{task_id}/events", params={"after": 0}) as stream:
        await (await stage.start(task_id)).fail()
        streamed = await stream.rest()

    page = await log(stage, task_id)

    assert page["data"] == [event["data"] for event in streamed]


@pytest.mark.parametrize("params", [{"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"after": 3}, {"from": 1}])
async def test_parameters_that_make_no_sense_are_refused(stage: Stage, params: dict[str, Any]) -> None:
    task_id = (await stage.submit())["id"]

    answer = await stage.http.get(f"/v1/tasks/{task_id}/events", params=params, headers=JSON)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert answer.json()["errors"][0]["pointer"] == f"/{next(iter(params))}"
