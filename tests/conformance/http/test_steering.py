"""Cancel, retry and replay."""

from datetime import timedelta

import pytest
from pydantic import SecretStr

from backhaul.core.ports.broker import Delivery
from backhaul.core.task.commands import Expire, GiveUp
from backhaul.core.webhooks import WebhookRules, new_secret
from backhaul.settings import Settings
from backhaul_contracts.ids import TaskId
from backhaul_contracts.messages import CONTROL
from tests.conformance.http.stage import Stage


async def test_a_task_that_waits_is_cancelled_at_once(stage: Stage) -> None:
    task = await stage.submit()

    answer = await stage.http.post(f"/v1/tasks/{task['id']}/cancel", json={"reason": "not needed"})

    assert answer.status_code == 200
    assert answer.json()["status"] == "cancelled"
    assert answer.json()["cancel"] == {
        "requested_at": "2030-01-01T00:00:00.000Z",
        "reason": "not needed",
        "outcome": "confirmed",
    }


async def test_a_running_task_is_asked_to_stop_and_its_worker_told(stage: Stage) -> None:
    task = await stage.submit()
    hints: list[Delivery] = []
    await stage.hear_control("wrk_7", hints.append)
    attempt = await stage.start(task["id"], "wrk_7")

    answer = await stage.http.post(f"/v1/tasks/{task['id']}/cancel")

    await stage.until(lambda: bool(hints))
    (message,) = CONTROL.read(hints[0].body)
    assert (answer.status_code, answer.json()["status"]) == (202, "cancelling")
    assert (message.data.task_id, message.data.attempt, message.data.reason) == (task["id"], 1, "cancelled")
    await attempt.stop()
    assert (await stage.task(task["id"]))["cancel"]["outcome"] == "confirmed"


async def test_cancel_can_be_repeated(stage: Stage) -> None:
    task = await stage.submit()
    attempt = await stage.start(task["id"])
    first = await stage.http.post(f"/v1/tasks/{task['id']}/cancel", json={"reason": "a"})

    second = await stage.http.post(f"/v1/tasks/{task['id']}/cancel", json={"reason": "b"})
    await attempt.succeed({"sentences": []})
    third = await stage.http.post(f"/v1/tasks/{task['id']}/cancel")

    assert (second.status_code, second.json()) == (202, first.json())
    assert (third.status_code, third.json()["status"]) == (200, "succeeded")
    assert third.json()["result"] == {"sentences": []}


async def test_a_repeated_cancel_tells_the_worker_again(stage: Stage) -> None:
    task = await stage.submit()
    hints: list[Delivery] = []
    await stage.hear_control("wrk_8", hints.append)
    await stage.start(task["id"], "wrk_8")
    await stage.http.post(f"/v1/tasks/{task['id']}/cancel")
    await stage.until(lambda: len(hints) == 1)

    await stage.http.post(f"/v1/tasks/{task['id']}/cancel")

    await stage.until(lambda: len(hints) == 2)
    assert [message.data.task_id for message in CONTROL.read(hints[1].body)] == [task["id"]]


async def test_a_cancel_that_nobody_confirms_is_given_up_at_the_end_of_its_grace(stage: Stage) -> None:
    task = await stage.submit()
    attempt = await stage.start(task["id"])
    await stage.http.post(f"/v1/tasks/{task['id']}/cancel", json={"grace": "1h"})
    await stage.http.post(f"/v1/tasks/{task['id']}/cancel", json={"grace": 0})

    await stage.apply([GiveUp(TaskId(task["id"]))])
    await attempt.succeed({"sentences": []})

    ended = await stage.task(task["id"])
    assert (ended["status"], ended["result"], ended["error"]) == ("cancelled", None, None)
    assert ended["cancel"]["outcome"] == "unconfirmed"


@pytest.mark.parametrize("end", ["failed", "cancelled", "expired"])
async def test_a_cancel_of_an_ended_task_changes_nothing(stage: Stage, end: str) -> None:
    task = await stage.submit(expires_in=0.001 if end == "expired" else None)
    if end == "failed":
        await (await stage.start(task["id"])).fail()
    elif end == "cancelled":
        await stage.http.post(f"/v1/tasks/{task['id']}/cancel", json={"reason": "first"})
    else:
        stage.clock.advance(timedelta(seconds=1))
        await stage.apply([Expire(TaskId(task["id"]))])
    before = await stage.task(task["id"])

    answer = await stage.http.post(f"/v1/tasks/{task['id']}/cancel", json={"reason": "second", "grace": 0})

    assert (answer.status_code, before["status"]) == (200, end)
    assert answer.json() == before == await stage.task(task["id"])


async def test_a_retry_of_a_task_that_was_cancelled_before_its_time_is_scheduled_for_that_time(stage: Stage) -> None:
    task = await stage.submit(delay="1h")
    await stage.http.post(f"/v1/tasks/{task['id']}/cancel")

    again = (await stage.http.post(f"/v1/tasks/{task['id']}/retry")).json()

    assert (again["status"], again["scheduled_for"]) == ("scheduled", task["scheduled_for"])
    assert again["cancel"] is None


async def test_a_retry_after_an_unconfirmed_cancel_is_scheduled_for_the_end_of_the_old_lease(stage: Stage) -> None:
    task = await stage.submit()
    await stage.start(task["id"])
    await stage.http.post(f"/v1/tasks/{task['id']}/cancel", json={"grace": 0})
    await stage.apply([GiveUp(TaskId(task["id"]))])

    again = (await stage.http.post(f"/v1/tasks/{task['id']}/retry")).json()

    assert (again["status"], again["scheduled_for"]) == ("scheduled", "2030-01-01T00:00:20.000Z")


async def test_a_cancel_with_an_unknown_field_is_refused(stage: Stage) -> None:
    task = await stage.submit()

    answer = await stage.http.post(f"/v1/tasks/{task['id']}/cancel", json={"grace": "1 fortnight", "why": "x"})

    assert answer.status_code == 422
    assert {fault["pointer"] for fault in answer.json()["errors"]} == {"/grace", "/why"}


async def test_a_failed_task_can_be_retried_under_its_id(stage: Stage) -> None:
    task = await stage.submit(expires_in="1h")
    await (await stage.start(task["id"])).fail()

    answer = await stage.http.post(f"/v1/tasks/{task['id']}/retry")

    again = answer.json()
    assert answer.status_code == 202
    assert (again["id"], again["status"], again["attempt"], again["seq"]) == (task["id"], "queued", 1, 5)
    assert (again["error"], again["result"], again["cancel"], again["expires_at"]) == (None, None, None, None)
    assert again == await stage.task(task["id"])
    assert (await stage.start(task["id"])).number == 2


async def test_only_what_ended_without_success_can_be_retried(stage: Stage) -> None:
    waiting = await stage.submit()
    refused_while_waiting = await stage.http.post(f"/v1/tasks/{waiting['id']}/retry")
    await stage.run(waiting["id"], {})

    refused_after_success = await stage.http.post(f"/v1/tasks/{waiting['id']}/retry")

    for answer in (refused_while_waiting, refused_after_success):
        assert (answer.status_code, answer.json()["code"]) == (409, "not_retryable")


async def test_a_replay_is_a_new_task_like_the_old_one(stage: Stage) -> None:
    old = await stage.submit(key="doc-17", metadata={"team": "blue"}, priority=3, max_attempts=4, timeout="90s")
    await stage.run(old["id"], {})

    answer = await stage.http.post(f"/v1/tasks/{old['id']}/replay")

    new = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/tasks/{new['id']}"
    assert new["id"] != old["id"]
    assert (new["replay_of"], new["key"], new["status"]) == (old["id"], None, "queued")
    for same in ("kind", "input", "queue", "priority", "max_attempts", "metadata"):
        assert new[same] == old[same]


@pytest.mark.parametrize("settings", [Settings(secret_key=SecretStr("k" * 32))])
async def test_a_webhook_whose_secret_nobody_can_read_any_more_is_not_replayed(stage: Stage) -> None:
    old = await stage.submit(webhook={"url": "https://hooks.example/", "secret": new_secret()})

    again = await stage.http.post(f"/v1/tasks/{old['id']}/replay")
    stage.gateway.webhooks = WebhookRules("another key, " * 4)
    answer = await stage.http.post(f"/v1/tasks/{old['id']}/replay")

    assert again.status_code == 202
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert answer.json()["errors"][0]["pointer"] == "/webhook/secret"


async def test_a_replay_may_have_another_input(stage: Stage) -> None:
    old = await stage.submit()

    other = await stage.http.post(f"/v1/tasks/{old['id']}/replay", json={"input": {"text": "Two."}})
    wrong = await stage.http.post(f"/v1/tasks/{old['id']}/replay", json={"input": None})

    assert other.json()["input"] == {"text": "Two."}
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_input")


async def test_steering_no_task_is_404(stage: Stage) -> None:
    for call in ("cancel", "retry", "replay"):
        answer = await stage.http.post(f"/v1/tasks/tsk_1/{call}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
