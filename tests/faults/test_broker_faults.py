"""The broker takes nothing more, or starts anew: work goes on by itself, and nothing is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.acceptance.deployment import Deployment, Role, answers
from tests.acceptance.pace import listening
from tests.support.rabbitmq import PrivateRabbitMQ

pytestmark = pytest.mark.timeout(150)

LEASE = {"BACKHAUL_LEASE": "3s", "BACKHAUL_HEARTBEAT": "1s"}


@pytest.fixture
async def deployment(private_rabbitmq: PrivateRabbitMQ, database_url: str) -> AsyncIterator[Deployment]:
    await asyncio.to_thread(private_rabbitmq.start)
    url = await private_rabbitmq.create_vhost()
    async with Deployment(url, database_url, **LEASE) as deployment:
        yield deployment
    await private_rabbitmq.drop_vhost(url)


@pytest.fixture
async def gateway(deployment: Deployment) -> Role:
    """A gateway beside a ledger and a worker, which is known."""
    deployment.ledger()
    deployment.worker()
    gateway = await deployment.gateway()
    await answers(f"{gateway.url}/v1/kinds", lambda body: body["data"])
    return gateway


async def submitted(gateway: Role, kind: str = "probe.echo", **input: Any) -> str:
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        response = await client.post("/v1/tasks", json={"kind": kind, "input": input or {"value": "x"}})
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


async def succeeded(gateway: Role, task_id: str) -> dict[str, Any]:
    task: dict[str, Any] = await answers(f"{gateway.url}/v1/tasks/{task_id}", lambda task: task["done"])
    assert task["status"] == "succeeded", task
    return task


@pytest.mark.parametrize("crash", [False, True], ids=["restart", "kill"])
async def test_a_node_that_starts_anew_costs_no_attempt_and_nothing_that_was_accepted(
    gateway: Role, private_rabbitmq: PrivateRabbitMQ, crash: bool
) -> None:
    async with listening() as pace:
        running = await submitted(gateway, "probe.steps", port=pace.port, count=2)
        walker = await pace.walker()
        await private_rabbitmq.settle()

        await asyncio.to_thread(private_rabbitmq.kill if crash else private_rabbitmq.stop)
        later = [await submitted(gateway) for _ in range(20)]
        await walker.step()
        await asyncio.to_thread(private_rabbitmq.start)
        await walker.step()

        for task_id in (running, *later):
            assert (await succeeded(gateway, task_id))["attempt"] == 1
    await answers(f"{gateway.url}/readyz")


async def test_an_alarm_that_lasts_longer_than_a_lease_costs_no_attempt(
    gateway: Role, private_rabbitmq: PrivateRabbitMQ
) -> None:
    async with listening() as pace:
        running = await submitted(gateway, "probe.steps", port=pace.port, count=2)
        walker = await pace.walker()
        await private_rabbitmq.raise_memory_alarm()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(10):
                    await asyncio.Event().wait()
            later = await submitted(gateway)
            down = httpx.get(f"{gateway.url}/readyz").json()
        finally:
            await private_rabbitmq.clear_memory_alarm()
        await walker.step(2)

        assert (await succeeded(gateway, running))["attempt"] == 1
        assert (await succeeded(gateway, later))["attempt"] == 1
    await answers(f"{gateway.url}/readyz")
    assert len([line for line in gateway.log.splitlines() if "takes no messages now" in line]) == 1
    assert down["down"] == ["broker"]
    assert "memory" in down["detail"]
