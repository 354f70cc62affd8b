"""What was acknowledged is in the outbox before, and comes out of it after, whatever dies in between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.acceptance.deployment import Deployment, answers
from tests.support.deadlines import until
from tests.support.rabbitmq import PrivateRabbitMQ

pytestmark = pytest.mark.timeout(150)

LEASE = {"BACKHAUL_LEASE": "3s", "BACKHAUL_HEARTBEAT": "1s"}


@pytest.fixture
async def deployment(private_rabbitmq: PrivateRabbitMQ, database_url: str) -> AsyncIterator[Deployment]:
    await asyncio.to_thread(private_rabbitmq.start)
    url = await private_rabbitmq.create_vhost()
    async with Deployment(url, database_url, **LEASE) as deployment:
        await private_rabbitmq.settle()
        yield deployment


class Client:
    """Submits without a pause until its gateway is gone. What is answered by nobody is unknown."""

    def __init__(self, url: str, name: str) -> None:
        self.acknowledged: list[str] = []
        self.keys: list[str] = []
        self._url = url
        self._name = name

    async def run(self) -> None:
        async with httpx.AsyncClient(base_url=self._url) as client:
            with suppress(httpx.TransportError):
                while True:
                    await self._submit(client, f"{self._name}-{len(self.keys)}")

    async def _submit(self, client: httpx.AsyncClient, key: str) -> None:
        self.keys.append(key)
        body = {"kind": "probe.echo", "input": {"value": key}, "key": key}
        response = await client.post("/v1/tasks", json=body)
        assert response.status_code == 202, response.text
        self.acknowledged.append(response.json()["id"])


async def listed(url: str) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = []
    cursor: str | None = None
    async with httpx.AsyncClient(base_url=url) as client:
        while True:
            page = (
                await client.get("/v1/tasks", params={"limit": 100, **({"cursor": cursor} if cursor else {})})
            ).json()
            tasks += page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return tasks


@pytest.mark.parametrize("broker_is_down", [True, False], ids=["broker down", "broker up"])
async def test_a_gateway_killed_under_load_loses_nothing_that_it_acknowledged(
    deployment: Deployment, private_rabbitmq: PrivateRabbitMQ, broker_is_down: bool
) -> None:
    deployment.ledger()
    worker = deployment.worker()
    doomed, other = await deployment.gateway(), await deployment.gateway()
    await answers(f"{doomed.url}/v1/kinds", lambda body: body["data"])
    if broker_is_down:
        await asyncio.to_thread(private_rabbitmq.stop)
    clients = [Client(doomed.url, str(number)) for number in range(8)]

    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(client.run())
        await until(lambda: sum(len(client.acknowledged) for client in clients) >= 100)
        doomed.kill()
    if broker_is_down:
        await asyncio.to_thread(private_rabbitmq.start)
    await answers(
        f"{other.url}/v1/tasks?status=queued&status=running&status=retrying&limit=1", lambda page: not page["data"]
    )

    tasks = {task["id"]: task for task in await listed(other.url)}
    acknowledged = {task_id for client in clients for task_id in client.acknowledged}
    asked = {key for client in clients for key in client.keys}
    assert acknowledged <= tasks.keys()
    assert {task["status"] for task in tasks.values()} == {"succeeded"}
    assert {task["attempt"] for task in tasks.values()} == {1}
    assert len({task["key"] for task in tasks.values()}) == len(tasks)
    assert {task["key"] for task in tasks.values()} <= asked
    if broker_is_down:
        in_order = [tasks[task_id]["started_at"] for task_id in sorted(tasks)]
        assert in_order == sorted(in_order), "first accepted, first started"
    assert worker.exit_code is None
