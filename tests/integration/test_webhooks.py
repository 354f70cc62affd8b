"""Webhooks on the whole platform in memory, with a real receiver."""

from datetime import timedelta
from typing import Any

import pytest

from backhaul import Service
from backhaul.client import InvalidRequest
from backhaul.testing import Harness
from backhaul_contracts.ids import new_id
from tests.support.receiver import receiving, status

SECRET = "whsec_" + "c2VjcmV0" * 4
SCHEDULE = (timedelta(0), timedelta(milliseconds=1), timedelta(milliseconds=1))

service = Service("test")


@service.handler("test.double")
async def double(n: int) -> int:
    return 2 * n


def harness(**settings: Any) -> Harness:
    return Harness(service, settings={"webhook_schedule": SCHEDULE, **settings})


async def test_the_end_of_a_task_reaches_its_webhook_signed_with_its_secret() -> None:
    async with receiving() as receiver, harness() as platform:
        task = await platform.submit("test.double", 21, webhook={"url": receiver.url, "secret": SECRET})

        call = await receiver.call()

        payload = call.verified(SECRET)
        assert payload["type"] == "task.succeeded"
        shown = (await platform.http.get(f"/v1/tasks/{task.id}")).json()
        assert {**payload["data"], "links": shown["links"]} == shown
        assert payload["data"]["result"] == 42
        assert call.headers["content-type"] == "application/json"
        assert call.path == "/hooks"


async def test_a_receiver_that_fails_is_asked_again_with_the_same_id_and_body() -> None:
    async with receiving() as receiver, harness() as platform:
        receiver.answers.extend([status(500, body="out of order"), status(302, "location: /elsewhere")])
        await platform.submit("test.double", 1, webhook={"url": receiver.url, "secret": SECRET})

        calls = [await receiver.call() for _ in range(3)]

        assert len({(call.id, call.body, call.path) for call in calls}) == 1
        assert all(call.verified(SECRET) for call in calls)


async def test_the_events_that_are_asked_for_come_in_the_state_of_their_moment() -> None:
    async with receiving() as receiver, harness() as platform:
        wanted = {"url": receiver.url, "secret": SECRET, "events": ["task.started", "task.succeeded"]}
        await platform.submit("test.double", 1, webhook=wanted)

        told = {
            payload["type"]: payload["data"] for payload in [(await receiver.call()).verified(SECRET) for _ in "12"]
        }

        assert {type_: (data["status"], data["result"]) for type_, data in told.items()} == {
            "task.started": ("running", None),
            "task.succeeded": ("succeeded", 2),
        }


async def test_the_webhook_of_a_task_is_the_webhook_of_its_replay() -> None:
    async with receiving() as receiver, harness() as platform:
        task = await platform.submit("test.double", 1, webhook={"url": receiver.url, "secret": SECRET})
        await receiver.call()

        replay = await task.replay()

        assert (await receiver.call()).verified(SECRET)["data"]["id"] == replay.id


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://2130706433/", "http://[::ffff:10.0.0.1]/", "http://LOCALHOST/"]
)
async def test_a_private_address_in_a_url_is_refused_at_once(url: str) -> None:
    async with harness(webhook_allow_private=False) as platform:
        with pytest.raises(InvalidRequest, match="BACKHAUL_WEBHOOK_ALLOW_PRIVATE"):
            await platform.submit("test.double", 1, webhook={"url": url})


@pytest.mark.parametrize(
    ("webhook", "pointer"),
    [
        ({"url": "ftp://hooks.example/"}, "/webhook/url"),
        ({"url": "https://user:password@hooks.example/"}, "/webhook/url"),
        ({"url": "https://hooks.example/", "events": ["task.output"]}, "/webhook/events"),
        ({"url": "https://hooks.example/", "events": []}, "/webhook/events"),
        ({"url": "https://hooks.example/", "secret": "short"}, "/webhook/secret"),
        ({"url": "https://hooks.example/", "sekret": SECRET}, "/webhook/sekret"),
    ],
)
async def test_a_webhook_that_cannot_be_is_refused_with_a_pointer(webhook: dict[str, Any], pointer: str) -> None:
    async with harness() as platform:
        answer = await platform.http.post("/v1/tasks", json={"kind": "test.double", "input": 1, "webhook": webhook})

        assert answer.status_code == 422
        assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]


async def test_a_secret_is_never_shown_again() -> None:
    async with receiving() as receiver, harness() as platform:
        body = {"kind": "test.double", "input": 1, "webhook": {"url": receiver.url, "secret": SECRET}}
        answer = await platform.http.post("/v1/tasks", json={**body, "key": new_id("key")})

        assert SECRET not in answer.text
        assert SECRET.encode() not in (await receiver.call()).body
