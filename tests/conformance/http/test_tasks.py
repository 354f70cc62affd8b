"""Reading one task, its result, and deleting it."""

import asyncio
from datetime import timedelta

from backhaul_contracts.ids import new_task_id
from backhaul_contracts.tasks import Task
from tests.conformance.http.stage import Stage


async def test_a_task_is_shown_as_it_is(stage: Stage) -> None:
    task = await stage.submit(key="doc-17", metadata={"team": "blue"})
    attempt = await stage.start(task["id"])
    await attempt.progress(40, 100)

    answer = await stage.http.get(f"/v1/tasks/{task['id']}")

    shown = Task.model_validate_json(answer.content)
    assert answer.headers["etag"] == '"4"'
    assert answer.headers["retry-after"] == "1"
    assert (shown.status, shown.attempt, shown.seq) == ("running", 1, 4)
    assert answer.json()["progress"] == {"done": 40.0, "total": 100.0, "note": None}
    assert answer.json()["links"]["events"] == f"/v1/tasks/{task['id']}/events"


async def test_a_done_task_shows_its_end_and_asks_nobody_back(stage: Stage) -> None:
    task = await stage.submit()
    await stage.run(task["id"], {"sentences": ["One."]})

    answer = await stage.http.get(f"/v1/tasks/{task['id']}")

    shown = answer.json()
    assert "retry-after" not in answer.headers
    assert (shown["status"], shown["done"], shown["result"]) == ("succeeded", True, {"sentences": ["One."]})
    assert shown["finished_at"] == "2030-01-01T00:00:00.000Z"
    assert shown["retained_until"] == "2030-01-02T00:00:00.000Z"


async def test_retry_after_grows_with_the_age_of_the_task_up_to_10_seconds(stage: Stage) -> None:
    task = await stage.submit()
    asked = []

    for _ in range(4):
        answer = await stage.http.get(f"/v1/tasks/{task['id']}")
        asked.append(int(answer.headers["retry-after"]))
        stage.clock.advance(timedelta(seconds=20))

    assert asked == [1, 4, 8, 10]


async def test_what_is_known_is_not_sent_again(stage: Stage) -> None:
    task = await stage.submit()

    known = await stage.http.get(f"/v1/tasks/{task['id']}", headers={"If-None-Match": 'W/"1", "2"'})
    other = await stage.http.get(f"/v1/tasks/{task['id']}", headers={"If-None-Match": '"1"'})

    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", '"2"')
    assert other.status_code == 200


async def test_a_conditional_get_that_waits_answers_at_the_first_change(stage: Stage) -> None:
    task = await stage.submit()
    headers = {"If-None-Match": '"2"', "Prefer": "wait=30"}
    waiting = asyncio.ensure_future(stage.http.get(f"/v1/tasks/{task['id']}", headers=headers))
    await stage.watched(task["id"])

    await stage.start(task["id"])

    answer = await waiting
    assert answer.status_code == 200
    assert answer.json()["status"] == "running"
    assert answer.headers["preference-applied"] == "wait=30"


async def test_a_conditional_get_that_waits_answers_304_when_nothing_happens(stage: Stage) -> None:
    task = await stage.submit()
    headers = {"If-None-Match": '"2"', "Prefer": "wait=5"}

    answer = await stage.while_time_passes(stage.http.get(f"/v1/tasks/{task['id']}", headers=headers))

    assert answer.status_code == 304


async def test_a_conditional_get_does_not_wait_for_what_has_changed_already(stage: Stage) -> None:
    task = await stage.submit()

    answer = await stage.http.get(f"/v1/tasks/{task['id']}", headers={"If-None-Match": '"1"', "Prefer": "wait=30"})

    assert answer.status_code == 200


async def test_a_get_that_waits_answers_when_the_task_is_done(stage: Stage) -> None:
    task = await stage.submit()
    waiting = asyncio.ensure_future(stage.http.get(f"/v1/tasks/{task['id']}", headers={"Prefer": "wait=30"}))
    await stage.watched(task["id"])

    attempt = await stage.start(task["id"])
    await attempt.output("a", "b", "c")
    await attempt.succeed({})

    assert (await waiting).json()["status"] == "succeeded"


async def test_the_result_is_bare(stage: Stage) -> None:
    task = await stage.submit()
    await stage.run(task["id"], {"sentences": ["Eins.", "Zwei: ½ €."]})

    answer = await stage.http.get(f"/v1/tasks/{task['id']}/result")

    assert answer.status_code == 200
    assert answer.content == '{"sentences":["Eins.","Zwei: ½ €."]}'.encode()


async def test_a_result_may_be_null(stage: Stage) -> None:
    task = await stage.submit()
    await stage.run(task["id"], None)

    answer = await stage.http.get(f"/v1/tasks/{task['id']}/result")

    assert (answer.status_code, answer.content) == (200, b"null")


async def test_there_is_no_result_before_the_end(stage: Stage) -> None:
    task = await stage.submit()

    answer = await stage.http.get(f"/v1/tasks/{task['id']}/result")

    assert (answer.status_code, answer.json()["code"]) == (409, "not_finished")
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["task_id"] == task["id"]


async def test_there_is_no_result_of_a_failure_but_its_error(stage: Stage) -> None:
    task = await stage.submit()
    await (await stage.start(task["id"])).fail("too_long")

    answer = await stage.http.get(f"/v1/tasks/{task['id']}/result")

    assert (answer.status_code, answer.json()["code"]) == (409, "not_succeeded")
    assert answer.json()["detail"] == "The task is failed: too_long: 900 pages."
    assert answer.json()["error"] == (await stage.task(task["id"]))["error"]
    assert answer.json()["error"]["code"] == "too_long"


async def test_a_cancelled_task_has_no_result(stage: Stage) -> None:
    task = await stage.submit()
    await stage.http.post(f"/v1/tasks/{task['id']}/cancel", json={"reason": "not needed"})

    answer = await stage.http.get(f"/v1/tasks/{task['id']}/result")

    assert (answer.status_code, answer.json()["code"]) == (409, "not_succeeded")
    assert "not needed" in answer.json()["detail"]


async def test_a_done_task_can_be_deleted(stage: Stage) -> None:
    task = await stage.submit()
    await stage.run(task["id"], {})

    answer = await stage.http.delete(f"/v1/tasks/{task['id']}")

    after = await stage.http.get(f"/v1/tasks/{task['id']}")
    again = await stage.http.delete(f"/v1/tasks/{task['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert [after.status_code, again.status_code] == [404, 404]


async def test_a_task_under_way_is_not_deleted(stage: Stage) -> None:
    task = await stage.submit()

    answer = await stage.http.delete(f"/v1/tasks/{task['id']}")

    assert (answer.status_code, answer.json()["code"]) == (409, "not_finished")
    assert (await stage.task(task["id"]))["status"] == "queued"


async def test_a_task_that_never_was_is_404_and_one_beyond_retention_410(stage: Stage) -> None:
    now = int(stage.clock.now().timestamp() * 1000)
    never, long_ago = new_task_id(now), new_task_id(now - 25 * 3600 * 1000)

    for suffix in ("", "/result", "/events"):
        missing = await stage.http.get(f"/v1/tasks/{never}{suffix}")
        gone = await stage.http.get(f"/v1/tasks/{long_ago}{suffix}")
        assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
        assert (gone.status_code, gone.json()["code"]) == (410, "gone")


async def test_what_is_no_id_is_404(stage: Stage) -> None:
    answer = await stage.http.get("/v1/tasks/TSK_1")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_preferences_may_stand_on_lines_of_their_own(stage: Stage) -> None:
    task = await stage.submit()
    await stage.run(task["id"], {})

    answer = await stage.http.get(task["links"]["self"], headers=[("Prefer", "wait=30"), ("Prefer", "respond-async")])

    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait=30")
