"""Several ledgers over the shards of the reports: each has one active reader, and another when that one is gone."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.acceptance.deployment import Deployment, Role, answers
from tests.acceptance.pace import Pace, Walker, listening

pytestmark = pytest.mark.timeout(150)

SHARDS = 4
SETTINGS = {"BACKHAUL_LEASE": "9s", "BACKHAUL_HEARTBEAT": "1s", "BACKHAUL_LEDGER_SHARDS": str(SHARDS)}
TASKS = 12
STEPS = 6


@pytest.fixture
async def pace() -> AsyncIterator[Pace]:
    async with listening() as pace:
        yield pace


class Scene:
    """Tasks under way on one worker, each with its attempt that walks when it is told."""

    def __init__(self, url: str, task_ids: list[str], walkers: list[Walker]) -> None:
        self.url = url
        self.task_ids = task_ids
        self.walkers = walkers

    async def walk(self, steps: int) -> None:
        for walker in self.walkers:
            await walker.step(steps)

    async def recorded(self, steps: int) -> None:
        """Return when each task has got so far, in the record."""
        async with asyncio.timeout(30):
            while min(_output(log).count("step") for log in await self.logs()) < steps:
                await asyncio.sleep(0.05)

    async def ended(self) -> list[dict[str, Any]]:
        return [await answers(f"{self.url}/v1/tasks/{task_id}", lambda task: task["done"]) for task_id in self.task_ids]

    async def logs(self) -> list[list[dict[str, Any]]]:
        async with httpx.AsyncClient(base_url=self.url, headers={"Accept": "application/json"}) as client:
            pages = [await client.get(f"/v1/tasks/{task_id}/events?limit=1000") for task_id in self.task_ids]
        return [page.json()["data"] for page in pages]


def _output(log: list[dict[str, Any]]) -> str:
    return "".join(event["data"]["delta"] for event in log if event["type"] == "task.output")


async def on_the_way(deployment: Deployment, pace: Pace) -> Scene:
    deployment.worker()
    gateway = await deployment.gateway()
    await answers(f"{gateway.url}/v1/kinds", lambda body: body["data"])
    tasks = [{"kind": "probe.steps", "input": {"port": pace.port, "count": STEPS}}] * TASKS
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        response = await client.post("/v1/tasks/batch", json={"tasks": tasks})
    walkers = [await pace.walker() for _ in range(TASKS)]
    scene = Scene(gateway.url, [task["id"] for task in response.json()["tasks"]], walkers)
    await scene.walk(1)
    await scene.recorded(1)
    return scene


async def first_then_second(deployment: Deployment) -> tuple[Role, Role]:
    """Two ledgers: all shards are read by the first."""
    first = deployment.ledger()
    await says(first, "is at work")
    second = deployment.ledger()
    await says(second, "is at work")
    return first, second


async def says(role: Role, words: str) -> None:
    async with asyncio.timeout(30):
        while words not in role.log:
            await asyncio.sleep(0.05)  # a log cannot be awaited


async def assert_whole(scene: Scene) -> None:
    tasks, logs = await scene.ended(), await scene.logs()
    whole = "".join(f"step {step}\n" for step in range(1, STEPS + 1))
    assert {(task["status"], task["attempt"]) for task in tasks} == {("succeeded", 1)}
    assert [_output(log) for log in logs] == [whole] * TASKS
    assert [[event["seq"] for event in log] for log in logs] == [list(range(1, len(log) + 1)) for log in logs]


async def test_a_killed_reader_is_replaced_and_nothing_is_lost_or_reordered(
    amqp_url: str, database_url: str, pace: Pace
) -> None:
    async with Deployment(amqp_url, database_url, **SETTINGS) as deployment:
        first, _ = await first_then_second(deployment)
        scene = await on_the_way(deployment, pace)

        await scene.walk(2)
        first.kill()
        await scene.walk(2)
        async with asyncio.timeout(10):
            await scene.recorded(5)
        await scene.walk(1)

        await assert_whole(scene)


async def test_a_frozen_reader_is_replaced_and_does_no_harm_when_it_wakes(
    amqp_url: str, database_url: str, pace: Pace
) -> None:
    async with Deployment(amqp_url, database_url, **SETTINGS) as deployment:
        first, second = await first_then_second(deployment)
        scene = await on_the_way(deployment, pace)

        os.kill(first.pid, signal.SIGSTOP)
        await scene.walk(2)
        async with asyncio.timeout(25):
            await scene.recorded(3)
        os.kill(first.pid, signal.SIGCONT)
        await scene.walk(2)
        await scene.recorded(5)
        await says(first, "connected again")
        second.kill()
        await scene.walk(1)

        await assert_whole(scene)
        assert first.exit_code is None


async def test_a_change_of_the_number_of_shards_loses_no_report(amqp_url: str, database_url: str, pace: Pace) -> None:
    async with Deployment(amqp_url, database_url, **SETTINGS) as deployment:
        old = deployment.ledger()
        scene = await on_the_way(deployment, pace)

        old.kill()
        await scene.walk(2)
        fewer = {"BACKHAUL_LEDGER_SHARDS": "1"}
        before = await deployment.run("topology", "check", **fewer)
        new = deployment.ledger(**fewer)
        await scene.recorded(3)
        await says(new, "queue backhaul.ledger.1 was left over from more shards")
        after = await deployment.run("topology", "check", **fewer)
        await scene.walk(STEPS - 3)

        await assert_whole(scene)
    assert before.returncode == 1
    assert "queue backhaul.ledger.3 is left over: there are 1 shards now" in before.stderr
    assert after.returncode == 0, after.stderr
