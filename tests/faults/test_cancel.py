"""Cancels that a worker cannot hear in time: its process is frozen, as a partition freezes it for all others."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.acceptance.deployment import Deployment, Role, answers
from tests.acceptance.pace import Pace, listening

pytestmark = pytest.mark.timeout(150)

TARGET = "tests.faults.unruly:service"
SHORT_LEASE = {"BACKHAUL_LEASE": "3s", "BACKHAUL_HEARTBEAT": "1s"}


@pytest.fixture
async def deployment(amqp_url: str, database_url: str) -> AsyncIterator[Deployment]:
    async with Deployment(amqp_url, database_url, **SHORT_LEASE) as deployment:
        deployment.ledger()
        yield deployment


@pytest.fixture
async def pace() -> AsyncIterator[Pace]:
    async with listening() as pace:
        yield pace


class Site:
    """A gateway, and a task that a worker runs."""

    def __init__(self, url: str, pace: Pace) -> None:
        self.url = url
        self._pace = pace

    async def post(self, path: str, body: Any = None) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.url) as client:
            return await client.post(path, json=body)

    async def submit(self, kind: str) -> str:
        response = await self.post("/v1/tasks", {"kind": kind, "input": {"port": self._pace.port}})
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    async def done(self, task_id: str) -> Any:
        return await answers(f"{self.url}/v1/tasks/{task_id}", lambda task: task["done"])


async def site(deployment: Deployment, pace: Pace) -> tuple[Site, Role]:
    worker = deployment.worker_of(TARGET)
    gateway = await deployment.gateway()
    await answers(f"{gateway.url}/v1/kinds", lambda body: body["data"])
    return Site(gateway.url, pace), worker


async def test_a_worker_that_was_away_at_the_cancel_is_told_to_stop_when_it_is_back(
    deployment: Deployment, pace: Pace
) -> None:
    there, worker = await site(deployment, pace)
    task_id = await there.submit("unruly.meek")
    walker = await pace.walker()

    worker.freeze()
    asked = await there.post(f"/v1/tasks/{task_id}/cancel", {"grace": 0.2, "reason": "enough"})
    ended = await there.done(task_id)
    worker.thaw()
    await walker.gone()
    next_id = await there.submit("unruly.meek")
    await (await pace.walker()).step()

    assert (asked.status_code, asked.json()["status"]) == (202, "cancelling")
    assert (ended["status"], ended["cancel"]["outcome"], ended["cancel"]["reason"]) == (
        "cancelled",
        "unconfirmed",
        "enough",
    )
    assert (await there.done(next_id))["status"] == "succeeded"
    assert await there.done(task_id) == ended


async def test_a_result_of_a_worker_that_was_away_at_the_cancel_is_kept_as_superseded_and_never_shown(
    deployment: Deployment, pace: Pace
) -> None:
    there, worker = await site(deployment, pace)
    task_id = await there.submit("unruly.stubborn")
    walker = await pace.walker()

    worker.freeze()
    await there.post(f"/v1/tasks/{task_id}/cancel", {"grace": 0.2})
    ended = await there.done(task_id)
    await walker.step()
    worker.thaw()
    letters = await answers(f"{there.url}/v1/dead-letters?reason=superseded", lambda page: page["data"])

    (letter,) = letters["data"]
    assert (letter["queue"], letter["task_id"]) == ("backhaul.dead", task_id)
    assert "cancelled unconfirmed" in letter["detail"]
    assert await there.done(task_id) == ended
    assert (ended["status"], ended["result"], ended["cancel"]["outcome"]) == ("cancelled", None, "unconfirmed")


async def test_a_new_run_after_an_unconfirmed_cancel_waits_for_the_end_of_the_old_lease(
    deployment: Deployment, pace: Pace
) -> None:
    there, worker = await site(deployment, pace)
    task_id = await there.submit("unruly.meek")
    walker = await pace.walker()
    worker.freeze()
    await there.post(f"/v1/tasks/{task_id}/cancel", {"grace": 0.2})
    ended = await there.done(task_id)

    again = (await there.post(f"/v1/tasks/{task_id}/retry")).json()
    worker.thaw()
    await walker.gone()
    second = await pace.walker()
    await second.step()
    done = await there.done(task_id)

    assert (again["status"], again["cancel"]) == ("scheduled", None)
    assert again["scheduled_for"] > ended["finished_at"]
    assert second.attempt == 2
    assert (done["status"], done["result"]) == ("succeeded", {"attempt": 2})
