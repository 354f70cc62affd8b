"""Two services that call each other, as real processes on RabbitMQ and PostgreSQL; one is killed in between."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.acceptance.deployment import Deployment, answers
from tests.faults.callers import FOLDER, starts

pytestmark = pytest.mark.timeout(150)

ASKING, ANSWERING = "tests.faults.callers:asking", "tests.faults.callers:answering"
SHORT_LEASE = {"BACKHAUL_LEASE": "3s", "BACKHAUL_HEARTBEAT": "1s"}


class Scene:
    """A gateway, a ledger and a worker of each service."""

    def __init__(self, deployment: Deployment, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.deployment = deployment
        self.asking = deployment.worker_of(ASKING)
        self.answering = deployment.worker_of(ANSWERING)

    async def sum(self, *names: str) -> str:
        async with httpx.AsyncClient(base_url=self.url) as client:
            response = await client.post("/v1/tasks", json={"kind": "asking.sum", "input": list(names)})
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    async def shows(self, task_id: str, status: str) -> Any:
        return await answers(f"{self.url}/v1/tasks/{task_id}", lambda task: task["status"] == status)

    async def begun(self, name: str, times: int = 1) -> None:
        async with asyncio.timeout(40):
            while starts(self.folder, name) < times:
                await asyncio.sleep(0.05)  # another process writes it

    def let_go(self, *names: str) -> None:
        for name in names:
            (self.folder / f"{name}.go").touch()

    async def children(self, task_id: str) -> list[Any]:
        async with httpx.AsyncClient(base_url=self.url) as client:
            return list((await client.get("/v1/tasks", params={"parent_id": task_id})).json()["data"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(
    module_amqp_url: str, module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Scene]:
    """One for all tests: each calls for names of its own."""
    folder = tmp_path_factory.mktemp("calls")
    settings = {**SHORT_LEASE, FOLDER: str(folder)}
    async with Deployment(module_amqp_url, module_database_url, **settings) as deployment:
        deployment.ledger()
        gateway = await deployment.gateway()
        scene = Scene(deployment, gateway.url, folder)
        await answers(f"{gateway.url}/v1/kinds", lambda body: len(body["data"]) == 3)
        yield scene


async def test_services_call_each_other_with_one_slot_each(scene: Scene) -> None:
    task_id = await scene.sum("a", "bb", "ccc")
    await scene.shows(task_id, "waiting")

    scene.let_go("a", "bb", "ccc")

    assert (await scene.shows(task_id, "succeeded"))["result"] == 6


async def test_the_caller_is_killed_and_the_next_attempt_joins_what_was_called_for(scene: Scene) -> None:
    task_id = await scene.sum("d", "ee")
    await scene.begun("d")
    await scene.shows(task_id, "waiting")

    scene.asking.kill()
    scene.asking = scene.deployment.worker_of(ASKING)
    scene.let_go("d", "ee")
    task = await scene.shows(task_id, "succeeded")

    assert (task["result"], task["attempt"]) == (3, 2)
    assert len(await scene.children(task_id)) == 2
    assert (starts(scene.folder, "d"), starts(scene.folder, "ee")) == (1, 1)


async def test_the_called_one_is_killed_and_its_caller_waits_for_the_next_attempt(scene: Scene) -> None:
    task_id = await scene.sum("f")
    await scene.begun("f")
    await scene.shows(task_id, "waiting")

    scene.answering.kill()
    scene.answering = scene.deployment.worker_of(ANSWERING)
    await scene.begun("f", times=2)
    scene.let_go("f")
    task = await scene.shows(task_id, "succeeded")

    (child,) = await scene.children(task_id)
    assert (task["result"], task["attempt"], child["attempt"]) == (1, 1, 2)


async def test_cancelling_the_caller_ends_the_family(scene: Scene) -> None:
    task_id = await scene.sum("g", "hh")
    await scene.begun("g")
    await scene.shows(task_id, "waiting")

    async with httpx.AsyncClient(base_url=scene.url) as client:
        await client.post(f"/v1/tasks/{task_id}/cancel")

    await scene.shows(task_id, "cancelled")
    children = await scene.children(task_id)
    assert len(children) == 2
    for child in children:
        await scene.shows(child["id"], "cancelled")
