"""Submitting straight over the broker, on the platform in memory."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backhaul import Service
from backhaul.core.errors import StoreUnavailable
from backhaul.core.messages import topology
from backhaul.core.messages.topology import Queue, Topology
from backhaul.core.ports.broker import Delivery, Message
from backhaul.core.ports.dispatch import Dispatch
from backhaul.core.ports.store import Admission, Store
from backhaul.core.task.record import Draft
from backhaul.testing import Harness, ManualClock

service = Service("echo", version="1.0.0")


@service.handler("echo.say")
async def say(word: str) -> str:
    return word


@pytest.fixture
async def platform() -> AsyncIterator[Harness]:
    async with Harness(service) as platform:
        yield platform


def plain(body: bytes, **properties: Any) -> Message:
    values: dict[str, Any] = {"routing_key": "echo.say", "content_type": "application/json", "message_id": "one"}
    return Message(exchange=topology.SUBMIT, body=body, **{**values, **properties})


def full(data: Any, **attributes: Any) -> Message:
    event = {"specversion": "1.0", "type": "dev.backhaul.task.submit", "id": "7", "source": "/shop", "data": data}
    body = json.dumps({**event, **attributes}).encode()
    return plain(body, content_type="application/cloudevents+json", message_id=None)


class StoreThatFails:
    """Lets a store refuse the first `times` submissions."""

    def __init__(self, store: Store, times: int) -> None:
        self._accept = store.accept
        self._left = times
        self._answered = asyncio.Event()
        store.accept = self._refuse  # type: ignore[method-assign]

    async def answers(self, clock: ManualClock) -> None:
        """Let time pass until it accepts again."""
        async with asyncio.timeout(10):
            while not self._answered.is_set():
                clock.advance(timedelta(seconds=1))
                await asyncio.sleep(0)

    async def _refuse(self, drafts: Sequence[Draft]) -> tuple[list[Admission], Dispatch]:
        self._left -= 1
        if self._left >= 0:
            raise StoreUnavailable("it is switched off")
        self._answered.set()
        return await self._accept(drafts)


async def found(platform: Harness, key: str) -> list[dict[str, Any]]:
    """The tasks of that key, as soon as there is one."""
    async with asyncio.timeout(10):
        while not (tasks := (await platform.http.get("/v1/tasks", params={"key": key})).json()["data"]):
            await asyncio.sleep(0.01)
    return list(tasks)


async def set_aside(platform: Harness) -> Delivery:
    """The next message that was found invalid."""
    arrived: asyncio.Queue[Delivery] = asyncio.Queue()
    subscription = await platform.broker.consume(topology.INVALID, arrived.put_nowait, credit=1)
    async with asyncio.timeout(10):
        delivery = await arrived.get()
    delivery.ack()
    await subscription.cancel()
    return delivery


async def test_the_same_id_twice_makes_one_task(platform: Harness) -> None:
    await platform.broker.publish([plain(b'"hello"', priority=7), plain(b'"hello"', priority=7)])

    tasks = await found(platform, "one")

    assert [(task["kind"], task["input"], task["priority"]) for task in tasks] == [("echo.say", "hello", 7)]


async def test_nobody_has_the_platform_write_into_its_own_queues(platform: Harness) -> None:
    heard: list[Delivery] = []
    events = topology.event_queue("shop", "index")
    await platform.broker.declare(Topology(queues=(Queue(events),)))
    await platform.broker.consume(events, heard.append, credit=10)

    await platform.broker.publish([plain(b'"hello"', reply_to=events, correlation_id="mine")])
    letter = await set_aside(platform)
    await platform.broker.publish([plain(b'"hello"', message_id="two")])
    await found(platform, "two")

    assert letter.headers["bh-reason"] == "invalid_input"
    assert events in str(letter.headers["bh-detail"])
    assert heard == []


async def test_the_full_form_takes_everything_that_http_takes(platform: Harness) -> None:
    data = {"kind": "echo.say", "input": "later", "delay": "1h", "metadata": {"team": "blue"}}

    await platform.broker.publish([full(data)])

    (task,) = await found(platform, "/shop#7")
    assert (task["status"], task["metadata"]) == ("scheduled", {"team": "blue"})


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (plain(b'"hello"', message_id=None), "invalid_input"),
        (plain(b"hello"), "malformed_json"),
        (plain(b'"hello"', routing_key="echo.shout"), "unknown_kind"),
        (plain(b"17"), "invalid_input"),
        (plain(b'"hello"', content_type="text/plain"), "unsupported_media_type"),
        (full({"kind": "echo.say", "input": "x", "key": "another"}), "invalid_input"),
        (full({"kind": "echo.say", "input": "x"}, type="dev.backhaul.task.cancel"), "invalid_input"),
        (full("echo.say"), "invalid_input"),
        (plain(b'"hello"', message_id="a\0b"), "invalid_input"),
        (full({"kind": "echo.say", "input": "x"}, id="7" * 300), "invalid_input"),
    ],
)
async def test_what_cannot_be_accepted_is_kept_unchanged_with_its_reason(
    platform: Harness, message: Message, reason: str
) -> None:
    await platform.broker.publish([message])

    kept = await set_aside(platform)

    assert kept.body == message.body
    assert kept.headers["bh-reason"] == reason
    assert kept.headers["bh-exchange"] == "backhaul.submit"
    assert kept.headers["bh-routing-key"] == message.routing_key
    assert kept.headers["bh-detail"]


async def test_a_reason_is_told_once_and_what_it_points_at_behind_it(platform: Harness) -> None:
    await platform.broker.publish([full({"kind": "echo.say", "input": "x", "key": "another"})])
    other_key = (await set_aside(platform)).headers["bh-detail"]
    await platform.broker.publish([plain(b"17")])
    wrong_input = (await set_aside(platform)).headers["bh-detail"]

    assert other_key == "The body's key 'another' differs from the one it was sent with, '/shop#7'."
    assert wrong_input == 'The input does not fit kind echo.say. /input: 17 is not of type "string"'


async def test_a_body_larger_than_http_takes_is_kept_too_and_names_the_limit() -> None:
    async with Harness(service, settings={"max_body": 1024}) as platform:
        await platform.broker.publish([plain(json.dumps("x" * 1022).encode(), message_id="fits")])
        await platform.broker.publish([plain(json.dumps("x" * 1023).encode())])
        delivery = await set_aside(platform)
        fits = await found(platform, "fits")

    assert (delivery.message_id, delivery.headers["bh-reason"]) == ("one", "payload_too_large")
    assert "1024 bytes" in str(delivery.headers["bh-detail"])
    assert len(fits) == 1


async def test_a_submission_outlasts_an_outage_of_the_store_that_its_queue_would_give_up_on() -> None:
    clock = ManualClock()
    async with Harness(service, clock=clock) as platform:
        store = StoreThatFails(platform.platform.store, times=topology.Queue("any").delivery_limit + 5)

        await platform.broker.publish([plain(b'"hello"')])
        await store.answers(clock)

        (task,) = await found(platform, "one")
        assert task["input"] == "hello"
        assert await platform.broker.ready(topology.INVALID) == 0


async def test_a_trace_context_that_is_none_is_dropped(platform: Harness) -> None:
    await platform.broker.publish([plain(b'"hello"', headers={"traceparent": "00-\0"})])

    (task,) = await found(platform, "one")
    stored = await platform.platform.store.snapshot("default", task["id"])
    assert stored is not None
    assert stored.record.traceparent is None


async def test_an_id_that_was_used_for_another_input_is_refused(platform: Harness) -> None:
    await platform.broker.publish([plain(b'"hello"')])
    await found(platform, "one")

    await platform.broker.publish([plain(b'"goodbye"')])

    assert (await set_aside(platform)).headers["bh-reason"] == "idempotency_key_reused"


ASKING = {"reply_to": "backhaul.replies.shop", "correlation_id": "c-1"}


async def told(platform: Harness, count: int) -> list[tuple[str | None, dict[str, Any]]]:
    """The next events that come to the publisher's queue, each with its correlation id."""
    replies: asyncio.Queue[Delivery] = asyncio.Queue()
    subscription = await platform.broker.consume("backhaul.replies.shop", replies.put_nowait, credit=10)
    async with asyncio.timeout(10):
        answers = [await replies.get() for _ in range(count)]
    for answer in answers:
        answer.ack()
    await subscription.cancel()
    told = [(answer.correlation_id, json.loads(answer.body)) for answer in answers]
    assert [answer.message_id for answer in answers] == [event["id"] for _, event in told]
    return told


async def test_a_publisher_that_asks_is_told_whether_its_task_was_accepted_and_how_it_ended(platform: Harness) -> None:
    await platform.broker.declare(topology.mailbox(topology.REPLIES, "shop"))

    await platform.broker.publish([plain(b'"hello"', **ASKING), plain(b"17", message_id="two", **ASKING)])

    answers = await told(platform, 3)
    events = {event["type"]: event["data"] for _, event in answers}
    assert {correlation_id for correlation_id, _ in answers} == {"c-1"}
    assert events["dev.backhaul.task.accepted"]["key"] == "one"
    assert events["dev.backhaul.task.rejected"]["code"] == "invalid_input"
    ended = events["dev.backhaul.task.succeeded"]
    assert (ended["key"], ended["done"], ended["input"], ended["result"]) == ("one", True, "hello", "hello")
    assert all("time" in event for _, event in answers)
    assert [event.get("subject") for _, event in answers if event["type"] != "dev.backhaul.task.rejected"] == [
        ended["id"],
        ended["id"],
    ]


async def test_every_publisher_of_a_task_is_told_of_its_end(platform: Harness) -> None:
    await platform.broker.declare(topology.mailbox(topology.REPLIES, "shop"))
    data = {"kind": "echo.say", "input": "later", "delay": "1h"}
    message = replace(full(data), reply_to=ASKING["reply_to"])

    await platform.broker.publish([replace(message, correlation_id=name) for name in ("c-1", "c-2")])
    (_, accepted), _ = await told(platform, 2)
    await platform.http.post(f"/v1/tasks/{accepted['data']['id']}/cancel")

    answers = await told(platform, 2)
    assert {(name, event["type"]) for name, event in answers} == {
        ("c-1", "dev.backhaul.task.cancelled"),
        ("c-2", "dev.backhaul.task.cancelled"),
    }
    assert len({event["id"] for _, event in answers}) == 1


async def test_who_submits_a_task_again_that_is_done_is_told_of_its_end(platform: Harness) -> None:
    await platform.broker.declare(topology.mailbox(topology.REPLIES, "shop"))
    await platform.broker.publish([plain(b'"hello"', **ASKING)])
    await told(platform, 2)

    await platform.broker.publish([plain(b'"hello"', **{**ASKING, "correlation_id": "c-2"})])

    answers = await told(platform, 2)
    assert [(name, event["type"]) for name, event in answers] == [
        ("c-2", "dev.backhaul.task.accepted"),
        ("c-2", "dev.backhaul.task.succeeded"),
    ]


async def test_a_publisher_whose_queue_is_gone_holds_up_nobody(platform: Harness) -> None:
    await platform.broker.publish([plain(b'"hello"', reply_to="nowhere"), plain(b'"bye"', message_id="two")])

    async with asyncio.timeout(10):
        for key in ("one", "two"):
            (task,) = await found(platform, key)
            await (await platform.client.get(task["id"])).result()
        while await platform.platform.store.owed(timedelta(0), 10):
            await asyncio.sleep(0.05)


async def test_what_says_it_is_from_an_attempt_that_is_over_makes_no_task(platform: Harness) -> None:
    (parent,) = await submitted(platform, "parent")
    data = {"kind": "echo.say", "input": "x", "parent_id": parent["id"]}

    await platform.broker.publish([full(data, id="8", parentattempt=1, parenttoken="forged"), full(data)])

    await found(platform, "/shop#7")
    listed = await platform.http.get("/v1/tasks", params={"key": "/shop#8"})
    assert listed.json()["data"] == []


async def submitted(platform: Harness, key: str) -> list[dict[str, Any]]:
    await platform.broker.publish([plain(b'"hello"', message_id=key)])
    return await found(platform, key)
