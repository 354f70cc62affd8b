"""Cancels that a worker cannot hear in time: its process is frozen, as a partition freezes it for all others."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.acceptance.deployment import Deployment, Role, answers
from tests.acceptance.pace import Pace, listening

pytestmark = pytest.mark.timeout(150)

TARGET = "tests.faults.unruly:service"
SHORT_LEASE = {"BACKHAUL_LEASE": "3s", "BACKHAUL_HEARTBEAT": "1s"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(module_amqp_url: str, module_database_url: str) -> AsyncIterator[tuple[str, Role]]:
    """A gateway's URL, and a worker beside it; they outlive what the tests do to them."""
    async with Deployment(module_amqp_url, module_database_url, **SHORT_LEASE) as deployment:
        deployment.ledger()
        worker = deployment.worker_of(TARGET)
        gateway = await deployment.gateway()
        await answers(f"{gateway.url}/v1/kinds", lambda body: body["data"])
        yield gateway.url, worker


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


@pytest.fixture
def site(running: tuple[str, Role], pace: Pace) -> Site:
    return Site(running[0], pace)


@pytest.fixture
def worker(running: tuple[str, Role]) -> Iterator[Role]:
    yield running[1]
    running[1].thaw()


async def test_a_worker_that_was_away_at_the_cancel_is_told_to_stop_when_it_is_back(
    site: Site, worker: Role, pace: Pace
) -> None:
    task_id = await site.submit("unruly.meek")
    walker = await pace.walker()

    worker.freeze()
    asked = await site.post(f"/v1/tasks/{task_id}/cancel", {"grace": 0.2, "reason": "enough"})
    ended = await site.done(task_id)
    worker.thaw()
    await walker.gone()
    next_id = await site.submit("unruly.meek")
    await (await pace.walker()).step()

    assert (asked.status_code, asked.json()["status"]) == (202, "cancelling")
    assert (ended["status"], ended["cancel"]["outcome"], ended["cancel"]["reason"]) == (
        "cancelled",
        "unconfirmed",
        "enough",
    )
    assert (await site.done(next_id))["status"] == "succeeded"
    assert await site.done(task_id) == ended


async def test_a_result_of_a_worker_that_was_away_at_the_cancel_is_kept_as_superseded_and_never_shown(
    site: Site, worker: Role, pace: Pace
) -> None:
    task_id = await site.submit("unruly.stubborn")
    walker = await pace.walker()

    worker.freeze()
    await site.post(f"/v1/tasks/{task_id}/cancel", {"grace": 0.2})
    ended = await site.done(task_id)
    await walker.step()
    worker.thaw()
    letters = await answers(f"{site.url}/v1/dead-letters?reason=superseded", lambda page: page["data"])

    (letter,) = letters["data"]
    assert (letter["queue"], letter["task_id"]) == ("backhaul.dead", task_id)
    assert "cancelled unconfirmed" in letter["detail"]
    assert await site.done(task_id) == ended
    assert (ended["status"], ended["result"], ended["cancel"]["outcome"]) == ("cancelled", None, "unconfirmed")


async def test_a_new_run_after_an_unconfirmed_cancel_waits_for_the_end_of_the_old_lease(
    site: Site, worker: Role, pace: Pace
) -> None:
    task_id = await site.submit("unruly.meek")
    walker = await pace.walker()
    worker.freeze()
    await site.post(f"/v1/tasks/{task_id}/cancel", {"grace": 0.2})
    ended = await site.done(task_id)

    again = (await site.post(f"/v1/tasks/{task_id}/retry")).json()
    worker.thaw()
    await walker.gone()
    second = await pace.walker()
    await second.step()
    done = await site.done(task_id)

    assert (again["status"], again["cancel"]) == ("scheduled", None)
    assert again["scheduled_for"] > ended["finished_at"]
    assert second.attempt == 2
    assert (done["status"], done["result"]) == ("succeeded", {"attempt": 2})
