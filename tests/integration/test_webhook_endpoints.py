"""Webhook endpoints over HTTP, on the whole platform in memory, with a real receiver."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from backhaul import Service
from backhaul.gateway.api.endpoints import MOST_OF_TENANT
from backhaul.testing import Harness
from backhaul_contracts.ids import new_id, new_task_id
from tests.support.receiver import Receiver, status

PATH = "/v1/webhook-endpoints"
SCHEDULE = (timedelta(0), timedelta(milliseconds=1))

service = Service("test")


@service.handler("test.double")
async def double(n: int) -> int:
    return 2 * n


@pytest.fixture
async def platform() -> AsyncIterator[Harness]:
    async with Harness(service, settings={"webhook_schedule": SCHEDULE}) as platform:
        yield platform


async def register(platform: Harness, receiver: Receiver, **fields: Any) -> dict[str, Any]:
    answer = await platform.http.post(PATH, json={"url": receiver.url, **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def settled(platform: Harness, path: str) -> list[dict[str, Any]]:
    """The deliveries there, when none is pending any more."""
    while True:
        found: list[dict[str, Any]] = (await platform.http.get(path)).json()["data"]
        if found and all(one["state"] != "pending" for one in found):
            return found
        await platform.clock.sleep(timedelta(milliseconds=20))


async def test_an_endpoint_hears_of_every_task_signed_with_the_secret_that_was_shown_once(
    platform: Harness, receiver: Receiver
) -> None:
    made = await register(platform, receiver, description="mine")

    task = await platform.submit("test.double", 21)
    payload = (await receiver.call()).verified(made["secret"])

    assert (payload["type"], payload["data"]["id"]) == ("task.succeeded", task.id)
    shown = (await platform.http.get(f"{PATH}/{made['id']}")).json()
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert shown["events"] == ["task.succeeded", "task.failed", "task.cancelled", "task.expired"]
    assert (await platform.http.get(PATH)).json() == {"data": [shown], "next_cursor": None}


async def test_every_try_is_logged_and_a_delivery_can_be_sent_again(platform: Harness, receiver: Receiver) -> None:
    receiver.answers.extend([status(500, body="out\nof order"), status(307, "location: /elsewhere")])
    made = await register(platform, receiver)
    task = await platform.submit("test.double", 1)
    path = f"{PATH}/{made['id']}/deliveries"

    (failed,) = await settled(platform, path)
    again = await platform.http.post(f"{path}/{failed['id']}/redeliver")
    (delivered,) = await settled(platform, f"/v1/tasks/{task.id}/deliveries")

    assert (failed["state"], failed["event"], failed["task_id"]) == ("failed", "task.succeeded", task.id)
    assert [(one["status"], one["error"]) for one in failed["attempts"]] == [(500, "out of order"), (307, None)]
    assert (again.status_code, again.json()["state"]) == (202, "pending")
    assert (delivered["id"], delivered["state"], delivered["next_at"]) == (failed["id"], "delivered", None)
    assert [one["status"] for one in delivered["attempts"]] == [500, 307, 200]
    assert len({(await receiver.call()).id for _ in range(3)}) == 1


async def test_a_receiver_that_is_gone_gets_nothing_until_it_is_enabled(platform: Harness, receiver: Receiver) -> None:
    receiver.answers.append(status(410))
    made = await register(platform, receiver)
    path = f"{PATH}/{made['id']}"
    await platform.submit("test.double", 1)
    (failed,) = await settled(platform, f"{path}/deliveries")

    disabled = (await platform.http.get(path)).json()
    refused = await platform.http.post(f"{path}/deliveries/{failed['id']}/redeliver")
    untested = await platform.http.post(f"{path}/test")
    enabled = await platform.http.patch(path, json={"enabled": True})
    sent = await platform.http.post(f"{path}/deliveries/{failed['id']}/redeliver")

    assert (disabled["enabled"], disabled["disabled_reason"]) == (False, "gone")
    assert (refused.status_code, refused.json()["code"]) == (409, "endpoint_disabled")
    assert untested.status_code == 409
    assert (enabled.json()["enabled"], enabled.json()["disabled_reason"]) == (True, None)
    assert sent.status_code == 202
    assert {(await receiver.call()).id, (await receiver.call()).id} == {failed["id"]}


async def test_a_test_is_one_signed_try(platform: Harness, receiver: Receiver) -> None:
    receiver.answers.append(status(500))
    made = await register(platform, receiver)
    path = f"{PATH}/{made['id']}"

    sent = await platform.http.post(f"{path}/test")
    payload = (await receiver.call()).verified(made["secret"])
    (failed,) = await settled(platform, f"{path}/deliveries")

    assert (sent.status_code, sent.json()["event"]) == (202, "webhook.test")
    assert (payload["type"], payload["data"]) == ("webhook.test", {"endpoint_id": made["id"]})
    assert (failed["id"], failed["state"], len(failed["attempts"])) == (sent.json()["id"], "failed", 1)


async def test_an_endpoint_can_be_changed_and_removed(platform: Harness, receiver: Receiver) -> None:
    made = await register(platform, receiver, description="mine")
    path = f"{PATH}/{made['id']}"

    changed = await platform.http.patch(path, json={"events": ["task.started"], "description": None})
    task = await platform.submit("test.double", 1)
    told = (await receiver.call()).verified(made["secret"])
    gone = await platform.http.delete(path)

    assert (changed.json()["events"], changed.json()["description"]) == (["task.started"], None)
    assert changed.json()["url"] == receiver.url
    assert told["type"] == "task.started"
    assert gone.status_code == 204
    assert (await platform.http.get(path)).status_code == 404
    assert (await platform.http.delete(path)).status_code == 404
    assert (await platform.http.get(f"/v1/tasks/{task.id}/deliveries")).json()["data"] == []


async def test_a_secret_is_replaced_and_the_old_one_signs_along_for_a_while(
    platform: Harness, receiver: Receiver
) -> None:
    made = await register(platform, receiver)
    path = f"{PATH}/{made['id']}"

    rotated = (await platform.http.post(f"{path}/rotate-secret")).json()
    await platform.http.post(f"{path}/test")
    both = await receiver.call()
    last = (await platform.http.post(f"{path}/rotate-secret", json={"overlap": 0})).json()
    await platform.http.post(f"{path}/test")
    alone = await receiver.call()

    assert len({made["secret"], rotated["secret"], last["secret"]}) == 3
    assert both.verified(made["secret"]) == both.verified(rotated["secret"])
    assert alone.verified(last["secret"])["type"] == "webhook.test"
    for old in (made["secret"], rotated["secret"]):
        with pytest.raises(WebhookVerificationError):
            alone.verified(old)
    lasts = datetime.fromisoformat(rotated["old_secret_until"]) - datetime.now(UTC)
    assert timedelta(hours=23) < lasts < timedelta(hours=25)
    shown = (await platform.http.get(path)).json()
    assert (last["old_secret_until"], shown["old_secret_until"], "secret" in shown) == (None, None, False)


@pytest.mark.parametrize("overlap", [-1, "8d", "soon"])
async def test_an_old_secret_signs_along_for_a_week_at_most(
    platform: Harness, receiver: Receiver, overlap: object
) -> None:
    made = await register(platform, receiver)

    answer = await platform.http.post(f"{PATH}/{made['id']}/rotate-secret", json={"overlap": overlap})

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/overlap")


async def test_a_tenant_has_only_so_many_endpoints(platform: Harness, receiver: Receiver) -> None:
    for _ in range(MOST_OF_TENANT):
        await register(platform, receiver)

    refused = await platform.http.post(PATH, json={"url": receiver.url})

    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_endpoints")


async def test_lists_are_pages(platform: Harness, receiver: Receiver) -> None:
    ids = [(await register(platform, receiver))["id"] for _ in range(3)]

    first = (await platform.http.get(PATH, params={"limit": 2})).json()
    rest = (await platform.http.get(PATH, params={"limit": 2, "cursor": first["next_cursor"]})).json()

    assert [one["id"] for one in first["data"] + rest["data"]] == ids[::-1]
    assert rest["next_cursor"] is None
    assert (await platform.http.get(PATH, params={"cursor": "bm8"})).status_code == 422
    assert (await platform.http.get(PATH, params={"limit": 0})).status_code == 422


async def test_what_is_not_there_is_said_so(platform: Harness, receiver: Receiver) -> None:
    made = await register(platform, receiver)
    unknown, delivery = new_id("whe"), new_id("whd")

    for method, path in [
        ("GET", f"{PATH}/{unknown}"),
        ("POST", f"{PATH}/{unknown}/test"),
        ("POST", f"{PATH}/{unknown}/rotate-secret"),
        ("GET", f"{PATH}/{unknown}/deliveries"),
        ("POST", f"{PATH}/{made['id']}/deliveries/{delivery}/redeliver"),
        ("GET", f"/v1/tasks/{new_task_id()}/deliveries"),
        ("GET", "/v1/tasks/nonsense/deliveries"),
        ("POST", f"/v1/tasks/{new_task_id()}/deliveries/{delivery}/redeliver"),
    ]:
        answer = await platform.http.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path


async def test_an_endpoint_with_a_private_address_is_refused_when_it_is_made_and_when_it_is_changed() -> None:
    async with Harness(service, settings={"webhook_allow_private": False}) as platform:
        refused = await platform.http.post(PATH, json={"url": "http://10.0.0.1/"})
        made = (await platform.http.post(PATH, json={"url": "https://hooks.example/"})).json()
        changed = await platform.http.patch(f"{PATH}/{made['id']}", json={"url": "http://169.254.169.254/"})

        assert [answer.json()["errors"][0]["pointer"] for answer in (refused, changed)] == ["/url", "/url"]
        assert [answer.status_code for answer in (refused, changed)] == [422, 422]
