"""`GET /v1/tasks`."""

from datetime import timedelta
from typing import Any

import pytest

from tests.conformance.http.stage import Stage


async def ids(stage: Stage, **params: Any) -> list[str]:
    answer = await stage.http.get("/v1/tasks", params=params)
    assert answer.status_code == 200, answer.text
    return [task["id"] for task in answer.json()["data"]]


async def submitted(stage: Stage, count: int, **fields: Any) -> list[str]:
    """Ids of new tasks, newest first."""
    tasks = []
    for _ in range(count):
        tasks.append((await stage.submit(**fields))["id"])
        stage.clock.advance(timedelta(seconds=1))
    return tasks[::-1]


async def test_tasks_come_newest_first_page_by_page(stage: Stage) -> None:
    tasks = await submitted(stage, 5)
    pages, cursor = [], None

    for _ in range(3):
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        answer = (await stage.http.get("/v1/tasks", params=params)).json()
        pages.append([task["id"] for task in answer["data"]])
        cursor = answer["next_cursor"]

    assert pages == [tasks[:2], tasks[2:4], tasks[4:]]
    assert cursor is None


async def test_a_page_that_is_just_full_is_the_last_one(stage: Stage) -> None:
    await submitted(stage, 2)

    answer = await stage.http.get("/v1/tasks", params={"limit": 2})

    assert answer.json()["next_cursor"] is None


async def test_new_tasks_do_not_disturb_a_list_under_way(stage: Stage) -> None:
    tasks = await submitted(stage, 3)
    first = (await stage.http.get("/v1/tasks", params={"limit": 2})).json()
    await submitted(stage, 2)

    assert await ids(stage, limit=2, cursor=first["next_cursor"]) == tasks[2:]


async def test_status_may_repeat(stage: Stage) -> None:
    done, waiting, scheduled = [
        (await submitted(stage, 1, **fields))[0] for fields in ({"key": "a"}, {"key": "b"}, {"delay": 60})
    ]
    await stage.http.post(f"/v1/tasks/{done}/cancel")

    assert await ids(stage, status="cancelled") == [done]
    assert await ids(stage, status=["cancelled", "scheduled"]) == [scheduled, done]
    assert await ids(stage, status="queued") == [waiting]


async def test_every_filter_holds_at_once(stage: Stage) -> None:
    (parent,) = await submitted(stage, 1)
    (child,) = await submitted(stage, 1, parent_id=parent, key="doc-17", metadata={"team": "blue", "a.b": "c"})
    created = (await stage.task(child))["created_at"]

    assert await ids(stage, kind="digest.summarise") == [child, parent]
    assert await ids(stage, kind="digest.other") == []
    assert await ids(stage, queue="digest", key="doc-17") == [child]
    assert await ids(stage, parent_id=parent) == [child]
    assert await ids(stage, **{"metadata.team": "blue", "metadata.a.b": "c"}) == [child]
    assert await ids(stage, **{"metadata.team": "blue", "metadata.a.b": "d"}) == []
    assert await ids(stage, created_before=created) == [parent]
    assert await ids(stage, created_after="2030-01-01T00:00:00.500Z") == [child]


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"created_after": "0001-01-01T00:00:00Z"}, 1),
        ({"created_before": "0001-01-01T00:00:00Z"}, 0),
        ({"created_after": "9999-12-31T23:59:59.999Z"}, 0),
        ({"created_before": "9999-12-31T23:59:59.999Z"}, 1),
    ],
)
async def test_times_reach_from_the_first_year_to_the_last(stage: Stage, params: dict[str, Any], found: int) -> None:
    await submitted(stage, 1)

    assert len(await ids(stage, **params)) == found


async def test_as_much_metadata_can_be_asked_for_as_a_task_may_have(stage: Stage) -> None:
    metadata = {f"label{n}": "x" for n in range(50)}
    (task,) = await submitted(stage, 1, metadata=metadata)

    assert await ids(stage, status="queued", kind="digest.summarise", **{f"metadata.{n}": "x" for n in metadata}) == [
        task
    ]


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"limit": 0}, "/limit"),
        ({"limit": 101}, "/limit"),
        ({"limit": "ten"}, "/limit"),
        ({"status": "finished"}, "/status"),
        ({"status": ["queued", ""]}, "/status"),
        ({"created_after": "yesterday"}, "/created_after"),
        ({"created_before": "2030-01-01T00:00:00"}, "/created_before"),
        ({"cursor": "x"}, "/cursor"),
        ({"cursor": "dHNrXzE"}, "/cursor"),
        ({"parent_id": "17"}, "/parent_id"),
        ({"state": "queued"}, "/state"),
        ({"kind": ["a.b", "c.d"]}, "/kind"),
        ({"key": "\x00"}, "/key"),
        ({"created_after": "0001-01-01T00:00:00+14:00"}, "/created_after"),
        ({"created_before": "9999-12-31T23:59:59-14:00"}, "/created_before"),
        ({"created_after": "1700000000"}, "/created_after"),
        ({"parent_id": "tsk_01m86m4bnpe27a597p8ew55k2g\n"}, "/parent_id"),
        ({"metadata": "x"}, "/metadata"),
        ({"metadata.": "x"}, "/metadata."),
        ({"metadata.\x00": "x"}, "/metadata.\x00"),
        ({"status.x": "queued"}, "/status.x"),
        ({f"metadata.label{n}": "x" for n in range(51)}, "/metadata."),
    ],
)
async def test_a_parameter_that_is_unknown_or_wrong_is_named(
    stage: Stage, params: dict[str, Any], pointer: str
) -> None:
    answer = await stage.http.get("/v1/tasks", params=params)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert answer.json()["errors"][0]["pointer"] == pointer
