"""How soon work goes on when its worker leaves or dies, and what that costs the task."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.acceptance.deployment import Deployment, answers
from tests.acceptance.pace import Pace, listening

pytestmark = pytest.mark.timeout(150)

LEASE = timedelta(seconds=3)
SETTINGS = {"BACKHAUL_LEASE": "3s", "BACKHAUL_HEARTBEAT": "1s", "BACKHAUL_DRAIN_GRACE": "0s"}


@pytest.fixture
async def deployment(amqp_url: str, database_url: str) -> AsyncIterator[Deployment]:
    async with Deployment(amqp_url, database_url, **SETTINGS) as deployment:
        yield deployment


@pytest.fixture
async def pace() -> AsyncIterator[Pace]:
    async with listening() as pace:
        yield pace


async def submit(url: str, kind: str, *, max_attempts: int = 1, **input: Any) -> str:
    """A task that may fail once, no oftener, unless it is said otherwise."""
    async with httpx.AsyncClient(base_url=url) as client:
        response = await client.post("/v1/tasks", json={"kind": kind, "input": input, "max_attempts": max_attempts})
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


async def done(url: str, task_id: str) -> dict[str, Any]:
    task: dict[str, Any] = await answers(f"{url}/v1/tasks/{task_id}", lambda task: task["done"])
    return task


async def log(url: str, task_id: str) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(base_url=url, headers={"Accept": "application/json"}) as client:
        events: list[dict[str, Any]] = (await client.get(f"/v1/tasks/{task_id}/events")).json()["data"]
    return events


async def workers(url: str, **states: int) -> None:
    """Return when there are so many workers in each state, and none in another, and their kinds can be submitted."""

    def as_wanted(page: dict[str, Any]) -> bool:
        found = [worker["state"] for worker in page["data"]]
        return {state: found.count(state) for state in found} == states

    await answers(f"{url}/v1/workers", as_wanted)
    await answers(f"{url}/v1/kinds", lambda page: page["data"])  # a first beat may come too late, and the next has none


def starts(events: list[dict[str, Any]]) -> list[datetime]:
    return [datetime.fromisoformat(event["time"]) for event in events if event["type"] == "task.started"]


async def test_what_a_drained_worker_hands_back_is_started_elsewhere_within_a_second(
    deployment: Deployment, pace: Pace
) -> None:
    deployment.ledger()
    first = deployment.worker()
    gateway = await deployment.gateway()
    await workers(gateway.url, ready=1)
    task_id = await submit(gateway.url, "probe.steps", port=pace.port, count=1)
    await pace.walker()
    second = deployment.worker()
    await workers(gateway.url, ready=2)

    code = await asyncio.to_thread(first.terminate)
    await (await pace.walker()).step()
    task, events = await done(gateway.url, task_id), await log(gateway.url, task_id)
    await workers(gateway.url, ready=1)

    assert code == 0
    assert task["result"] == {"attempt": 2, "pid": second.pid}

    handed_back = next(event for event in events if event["type"] == "task.retrying")
    assert starts(events)[1] - datetime.fromisoformat(handed_back["time"]) < timedelta(seconds=1)
    assert (task["status"], task["attempt"], task["error"]) == ("succeeded", 2, None)


async def test_a_worker_that_is_restarted_at_once_goes_on_with_its_work(deployment: Deployment, pace: Pace) -> None:
    deployment.ledger()
    first = deployment.worker()
    gateway = await deployment.gateway()
    await workers(gateway.url, ready=1)
    task_id = await submit(gateway.url, "probe.steps", port=pace.port, count=1)
    await pace.walker()

    await asyncio.to_thread(first.terminate)
    deployment.worker()
    await (await pace.walker()).step()
    task = await done(gateway.url, task_id)
    await workers(gateway.url, ready=1)

    assert (task["status"], task["attempt"]) == ("succeeded", 2)


async def test_the_work_of_a_killed_worker_is_started_elsewhere_within_a_lease_and_five_seconds(
    deployment: Deployment, pace: Pace
) -> None:
    deployment.ledger()
    first = deployment.worker()
    gateway = await deployment.gateway()
    await workers(gateway.url, ready=1)
    task_id = await submit(gateway.url, "probe.steps", max_attempts=2, port=pace.port, count=3)
    doomed = await pace.walker()
    await doomed.step()
    second = deployment.worker()
    await workers(gateway.url, ready=2)

    killed_at = datetime.now().astimezone()
    first.kill()
    await (await pace.walker()).step(3)
    task, events = await done(gateway.url, task_id), await log(gateway.url, task_id)

    assert doomed.pid == first.pid
    assert starts(events)[1] - killed_at < LEASE + timedelta(seconds=5)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["attempt"] for event in events if event["type"] == "task.started"] == [1, 2]
    results = [event["data"]["result"] for event in events if event["type"] == "task.succeeded"]
    assert results == [task["result"]] == [{"attempt": 2, "pid": second.pid}]


async def test_a_claim_that_a_drained_worker_left_behind_costs_the_task_nothing(deployment: Deployment) -> None:
    ledger, first = deployment.ledger(), deployment.worker()
    gateway = await deployment.gateway()
    await workers(gateway.url, ready=1)

    os.kill(ledger.pid, signal.SIGSTOP)
    task_id = await submit(gateway.url, "probe.echo", value="x")
    await asyncio.to_thread(first.terminate)
    os.kill(ledger.pid, signal.SIGCONT)
    deployment.worker()
    task = await done(gateway.url, task_id)

    assert task["status"] == "succeeded", task


async def test_a_claim_that_a_killed_worker_left_behind_costs_the_task_nothing(deployment: Deployment) -> None:
    ledger, first = deployment.ledger(), deployment.worker()
    gateway = await deployment.gateway()
    await workers(gateway.url, ready=1)

    ledger.kill()
    task_id = await submit(gateway.url, "probe.echo", value="x")
    await workers(gateway.url, lost=1)
    first.kill()
    deployment.ledger()
    deployment.worker()
    task = await done(gateway.url, task_id)

    assert (task["status"], task["attempt"]) == ("succeeded", 1), task
