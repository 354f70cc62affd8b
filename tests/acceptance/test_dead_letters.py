"""What goes wrong on the broker is kept, told, and mended, on real servers and real processes."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aio_pika
import httpx
import pytest

from backhaul.broker.rabbitmq import RabbitBroker
from backhaul.core.ports.broker import Message
from tests.acceptance.deployment import Deployment, answers

pytestmark = pytest.mark.timeout(150)

PATIENCE = 60


@pytest.fixture
async def deployment(amqp_url: str, database_url: str) -> AsyncIterator[Deployment]:
    async with Deployment(amqp_url, database_url) as deployment:
        yield deployment


@pytest.fixture
async def channel(deployment: Deployment, amqp_url: str) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    """A foreign producer."""
    async with await aio_pika.connect(amqp_url) as connection:
        yield await connection.channel()


async def publish(
    channel: aio_pika.abc.AbstractChannel,
    key: str,
    body: bytes,
    *,
    exchange: str = "backhaul.submit",
    **properties: Any,
) -> None:
    target = await channel.get_exchange(exchange, ensure=False)
    values: dict[str, Any] = {
        "content_type": "application/json",
        "delivery_mode": aio_pika.DeliveryMode.PERSISTENT,
        **properties,
    }
    await target.publish(aio_pika.Message(body, **values), routing_key=key)


async def publish_without_id(amqp_url: str, key: str, body: bytes) -> None:
    """aio-pika would give it one."""
    broker = RabbitBroker(amqp_url, name="a producer")
    await broker.start()
    await broker.publish(
        [Message(exchange="backhaul.submit", routing_key=key, body=body, content_type="application/json")]
    )
    await broker.stop()


async def letters(http: httpx.AsyncClient, *reasons: str) -> dict[str, dict[str, Any]]:
    """The dead letters by reason, once there is one for each of these reasons."""
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = await http.get("/v1/dead-letters")
            assert answer.status_code == 200, answer.text
            found = {letter["reason"]: letter for letter in answer.json()["data"]}
            if found.keys() >= set(reasons):
                return found
            await asyncio.sleep(0.05)  # there is no event to await: nobody tells of a dead letter


async def result(http: httpx.AsyncClient, key: str) -> Any:
    """The result of the task with this key."""
    async with asyncio.timeout(PATIENCE):
        while not (tasks := (await http.get("/v1/tasks", params={"key": key})).json()["data"]):
            await asyncio.sleep(0.05)
        [task] = tasks
        while not task["done"]:
            answer = await http.get(f"/v1/tasks/{task['id']}", headers={"Prefer": "wait=20"})
            task = answer.json()
    return task["result"]


async def test_what_cannot_be_handled_is_listed_with_its_reason_and_succeeds_once_it_is_mended_and_replayed(
    deployment: Deployment, channel: aio_pika.abc.AbstractChannel, amqp_url: str
) -> None:
    gateway = await deployment.gateway()
    token = {"specversion": "1.0", "id": "t", "source": "/x", "type": "dev.backhaul.task.token"}
    async with httpx.AsyncClient(base_url=gateway.url, timeout=30) as http:
        await publish(channel, "probe.echo", b'{"value": "late"}', message_id="late", expiration=0.001)
        await publish(channel, "probe", json.dumps(token).encode(), exchange="backhaul.tasks")
        await letters(http, "expired", "unrouted")
        ledger = deployment.ledger()
        await publish(channel, "probe.echo", b"\xff{", message_id="garbage")
        await publish(channel, "probe.echo", b'{"value": "early"}', message_id="early", headers={"a": [1, {"b": 2}]})
        await channel.default_exchange.publish(aio_pika.Message(b"[{}]"), routing_key="backhaul.claims")
        await letters(http, "malformed_json", "unknown_kind", "unreadable")
        deployment.worker()
        await answers(f"{gateway.url}/v1/kinds", lambda body: body["data"])
        await publish(channel, "probe.echo", b'{"value": 7}', message_id="wrong")
        await publish_without_id(amqp_url, "probe.echo", b'{"value": "nameless"}')
        reasons = ["expired", "unrouted", "malformed_json", "unknown_kind", "invalid_input", "unreadable"]
        found = await letters(http, *reasons)

        queues = {reason: letter["queue"].removeprefix("backhaul.") for reason, letter in found.items()}
        assert queues == {**dict.fromkeys(reasons, "invalid"), "unrouted": "unrouted", "unreadable": "dead"}
        assert (found["unreadable"]["exchange"], found["unreadable"]["routing_key"]) == ("", "backhaul.claims")
        for reason in ("expired", "malformed_json", "unknown_kind", "invalid_input"):
            assert (found[reason]["exchange"], found[reason]["routing_key"]) == ("backhaul.submit", "probe.echo")
            assert found[reason]["received_at"]
        assert (found["unrouted"]["exchange"], found["unrouted"]["routing_key"]) == ("backhaul.tasks", "probe")
        assert found["unknown_kind"]["body"] == {"value": "early"}
        assert found["malformed_json"]["body_encoding"] == "base64"
        assert "set aside in backhaul.invalid: unknown_kind" in ledger.log

        for reason in ("unknown_kind", "expired", "unrouted"):
            answer = await http.post(f"/v1/dead-letters/{found[reason]['id']}/replay")
            assert answer.status_code == 202, answer.text

        assert await result(http, "early") == {"value": "early"}
        assert await result(http, "late") == {"value": "late"}
        left = (await http.get("/v1/dead-letters")).json()["data"]
        wrong = ["invalid_input", "invalid_input", "malformed_json", "unreadable"]
        assert sorted(letter["reason"] for letter in left) == wrong
        assert {
            letter["body_size"]: letter["message_id"] for letter in left if letter["reason"] == "invalid_input"
        } == {
            12: "wrong",
            21: None,
        }

        for letter in left:
            assert (await http.delete(f"/v1/dead-letters/{letter['id']}")).status_code == 204
        assert (await http.get("/v1/dead-letters")).json()["data"] == []


async def test_what_is_set_aside_stays_in_its_queue_unchanged_for_everybody_to_read(
    deployment: Deployment, channel: aio_pika.abc.AbstractChannel
) -> None:
    gateway = await deployment.gateway()
    deployment.ledger()
    headers = {"traceparent": "00-1", "nested": {"list": [1, "two"]}, "flag": True}
    properties = {"message_id": "m", "correlation_id": "c", "reply_to": "nobody", "type": "order", "app_id": "shop"}

    await publish(channel, "shop.order", b'{"n": 1}', headers=headers, priority=3, **properties)
    async with httpx.AsyncClient(base_url=gateway.url, timeout=30) as http:
        await letters(http, "unknown_kind")
        await letters(http, "unknown_kind")
    queue = await channel.get_queue("backhaul.invalid", ensure=False)
    kept = await queue.get(timeout=10)

    assert kept is not None
    assert (kept.body, kept.content_type, kept.priority) == (b'{"n": 1}', "application/json", 3)
    assert {name: getattr(kept, name) for name in properties} == properties
    assert {name: value for name, value in kept.headers.items() if not name.startswith(("bh-", "x-"))} == headers
    assert kept.headers["bh-reason"] == "unknown_kind"
    assert (kept.headers["bh-exchange"], kept.headers["bh-routing-key"]) == ("backhaul.submit", "shop.order")
    assert kept.headers["bh-detail"]
    assert str(kept.headers["bh-time"]).endswith("Z")
    await kept.ack()
