"""Webhooks on real servers and real processes."""

import asyncio

import httpx
import pytest

from tests.acceptance.deployment import Deployment, answers
from tests.support.receiver import receiving

pytestmark = pytest.mark.timeout(150)

SETTINGS = {"BACKHAUL_SECRET_KEY": "k" * 32, "BACKHAUL_WEBHOOK_ALLOW_PRIVATE": "true"}


async def test_a_webhook_outlives_its_notifier_and_arrives_signed_with_the_secret_of_the_tenant(
    amqp_url: str, database_url: str
) -> None:
    async with receiving() as receiver, Deployment(amqp_url, database_url, **SETTINGS) as deployment:
        receiver.answers.append(None)
        deployment.ledger()
        deployment.worker()
        leaving = deployment.notifier()
        gateway = await deployment.gateway()
        await answers(f"{gateway.url}/v1/kinds", lambda body: bool(body["data"]))
        async with httpx.AsyncClient(base_url=gateway.url) as client:
            body = {"kind": "probe.echo", "input": {"value": "hello"}, "webhook": {"url": receiver.url}}
            task = (await client.post("/v1/tasks", json=body)).json()

        unanswered = await receiver.call()
        code = await asyncio.to_thread(leaving.terminate)
        deployment.notifier()
        call = await receiver.call()
        secret = (await deployment.run("keys", "webhook-secret")).stdout.strip()

        payload = call.verified(secret)
        assert code == 0
        assert (call.id, call.body) == (unanswered.id, unanswered.body)
        assert (payload["type"], payload["data"]["id"]) == ("task.succeeded", task["id"])
        assert payload["data"]["result"] == {"value": "hello"}
        path = f"{gateway.url}/v1/tasks/{task['id']}/deliveries"
        (delivery,) = (await answers(path, lambda body: body["data"][0]["state"] == "delivered"))["data"]
        assert [attempt["status"] for attempt in delivery["attempts"]] == [200]
