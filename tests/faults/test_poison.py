"""A task that kills its worker, each time it runs."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.acceptance.deployment import Deployment, Role, answers
from tests.acceptance.pace import Pace, Walker, listening

pytestmark = pytest.mark.timeout(180)

TARGET = "tests.faults.unruly:service"
SHORT_LEASE = {"BACKHAUL_LEASE": "3s", "BACKHAUL_HEARTBEAT": "1s"}
NEIGHBOURS = 3


@pytest.fixture
async def deployment(amqp_url: str, database_url: str) -> AsyncIterator[Deployment]:
    async with Deployment(amqp_url, database_url, **SHORT_LEASE) as deployment:
        deployment.ledger()
        yield deployment


@pytest.fixture
async def killer() -> AsyncIterator[Pace]:
    async with listening() as pace:
        yield pace


@pytest.fixture
async def neighbours() -> AsyncIterator[Pace]:
    async with listening() as pace:
        yield pace


async def submit(url: str, kind: str, pace: Pace, **fields: Any) -> str:
    async with httpx.AsyncClient(base_url=url) as client:
        response = await client.post("/v1/tasks", json={"kind": kind, "input": {"port": pace.port}, **fields})
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


async def done(url: str, task_id: str) -> Any:
    return await answers(f"{url}/v1/tasks/{task_id}", lambda task: task["done"])


async def kill(worker: Role, walker: Walker) -> None:
    """Let it kill its worker."""
    await walker.step()
    await walker.gone()
    assert await asyncio.to_thread(worker.wait) < 0


async def test_what_kills_its_worker_three_times_is_set_aside_and_those_beside_it_succeed(
    deployment: Deployment, killer: Pace, neighbours: Pace
) -> None:
    worker = deployment.worker_of(TARGET)
    gateway = await deployment.gateway()
    await answers(f"{gateway.url}/v1/kinds", lambda body: body["data"])
    poison = await submit(gateway.url, "unruly.deadly", killer)
    beside = [await submit(gateway.url, "unruly.meek", neighbours) for _ in range(NEIGHBOURS)]

    for attempt in (1, 2):
        deadly = await killer.walker()
        meek = [await neighbours.walker() for _ in range(NEIGHBOURS)]
        assert [walker.attempt for walker in (deadly, *meek)] == [attempt] * (1 + NEIGHBOURS)
        await kill(worker, deadly)
        worker = deployment.worker_of(TARGET)
    for walker in [await neighbours.walker() for _ in range(NEIGHBOURS)]:
        await walker.step()
    ended = [await done(gateway.url, task_id) for task_id in beside]
    await kill(worker, await killer.walker())
    failed = await done(gateway.url, poison)

    assert (failed["status"], failed["attempt"], failed["error"]["code"]) == ("failed", 3, "dead_lettered")
    assert [(task["status"], task["result"]) for task in ended] == [("succeeded", {"attempt": 3})] * NEIGHBOURS
    assert killer.idle


async def test_a_neighbour_with_a_single_attempt_is_lost_with_its_worker_and_says_so(
    deployment: Deployment, killer: Pace, neighbours: Pace
) -> None:
    """Nobody can tell from outside which of its tasks has killed a worker."""
    worker = deployment.worker_of(TARGET)
    gateway = await deployment.gateway()
    await answers(f"{gateway.url}/v1/kinds", lambda body: body["data"])
    poison = await submit(gateway.url, "unruly.deadly", killer, max_attempts=1)
    beside = await submit(gateway.url, "unruly.meek", neighbours, max_attempts=1)
    await neighbours.walker()

    await kill(worker, await killer.walker())
    ended = [await done(gateway.url, task_id) for task_id in (poison, beside)]

    assert [(task["status"], task["error"]["code"]) for task in ended] == [("failed", "dead_lettered")] * 2
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        again = await client.post(f"/v1/tasks/{beside}/retry")
    deployment.worker_of(TARGET)
    await (await neighbours.walker()).step()
    assert again.status_code == 202
    assert (await done(gateway.url, beside))["status"] == "succeeded"
