"""Child processes of real workers: what is killed is lost for one attempt, and nothing outlives its worker."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import psutil
import pytest
import pytest_asyncio

from tests.acceptance.deployment import Deployment, Role, answers

pytestmark = pytest.mark.timeout(150)

TARGET = "tests.unit.worker.heavy:service"
SHORT_LEASE = {"BACKHAUL_LEASE": "3s", "BACKHAUL_HEARTBEAT": "1s"}


class Scene:
    """A gateway, a ledger and a worker with handlers in child processes."""

    def __init__(self, deployment: Deployment, worker: Role, url: str) -> None:
        self.deployment = deployment
        self.worker = worker
        self.url = url

    async def submit(self, kind: str, input: Any = None) -> str:
        async with httpx.AsyncClient(base_url=self.url) as client:
            response = await client.post("/v1/tasks", json={"kind": kind, "input": input})
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    async def done(self, task_id: str) -> Any:
        return await answers(f"{self.url}/v1/tasks/{task_id}", lambda task: task["done"])

    async def pids(self, task_id: str) -> list[int]:
        """Of the handler's process and the program that it started, as the handler says."""
        log = await self.log(task_id, said)
        return [int(pid) for pid in str(said(log)).split() if pid != "0"]

    async def log(self, task_id: str, wanted: Callable[[Any], Any]) -> Any:
        """The events of a task as JSON, once there are those that are wanted."""
        url = f"{self.url}/v1/tasks/{task_id}/events?after=0"
        return await answers(url, wanted, headers={"Accept": "application/json"})


def said(log: Any) -> str | None:
    deltas = [event["data"]["delta"] for event in log["data"] if event["type"] == "task.output"]
    return deltas[0] if deltas else None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(module_amqp_url: str, module_database_url: str) -> AsyncIterator[Scene]:
    async with Deployment(module_amqp_url, module_database_url, **SHORT_LEASE) as deployment:
        deployment.ledger()
        worker = deployment.worker_of(TARGET)
        gateway = await deployment.gateway()
        await answers(f"{gateway.url}/v1/kinds", lambda body: body["data"])
        yield Scene(deployment, worker, gateway.url)


@pytest.fixture
def scene(running: Scene) -> Scene:
    """With a worker, also after a test that ended one."""
    if running.worker.exit_code is not None:
        running.worker = running.deployment.worker_of(TARGET)
    return running


async def gone(pids: list[int]) -> None:
    """Return when none of them runs any more."""
    async with asyncio.timeout(10):
        while any(runs(pid) for pid in pids):
            await asyncio.sleep(0.05)  # processes of processes of others: nobody tells us of their end


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_a_killed_child_is_the_loss_of_one_attempt_and_the_next_one_succeeds(scene: Scene) -> None:
    task_id = await scene.submit("test.again")
    (pid,) = await scene.pids(task_id)

    os.kill(pid, signal.SIGKILL)

    task = await scene.done(task_id)
    log = await scene.log(task_id, lambda log: log["done"])
    (retrying,) = [event for event in log["data"] if event["type"] == "task.retrying"]
    assert (task["status"], task["result"], task["attempt"]) == ("succeeded", 2, 2)
    assert retrying["data"]["error"]["code"] == "lost"
    assert "SIGKILL (signal 9)" in retrying["data"]["error"]["detail"]


async def test_a_task_that_kills_every_child_is_dead_lettered_and_its_worker_lives(scene: Scene) -> None:
    task = await scene.done(await scene.submit("test.crash"))
    after = await scene.done(await scene.submit("test.shout", {"text": "still here"}))

    assert (task["status"], task["error"]["code"], task["attempt"]) == ("failed", "dead_lettered", 3)
    assert "SIGSEGV" in task["error"]["detail"]
    assert after["result"] == "STILL HERE"
    assert scene.worker.exit_code is None


async def test_a_cancel_is_confirmed_when_the_process_is_killed(scene: Scene) -> None:
    task_id = await scene.submit("test.deaf", "program")
    pids = await scene.pids(task_id)

    async with httpx.AsyncClient(base_url=scene.url) as client:
        await client.post(f"/v1/tasks/{task_id}/cancel", json={"reason": "enough", "grace": "1s"})

    task = await scene.done(task_id)
    assert (task["status"], task["cancel"]["outcome"]) == ("cancelled", "confirmed")
    await gone(pids)


async def test_signals_to_the_whole_group_leave_the_drain_to_the_worker(scene: Scene) -> None:
    task_id = await scene.submit("test.brief")
    (pid,) = await scene.pids(task_id)

    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid, number)
    code = await asyncio.to_thread(scene.worker.terminate)

    task = await scene.done(task_id)
    assert (code, task["status"], task["attempt"]) == (0, "succeeded", 1)
    await gone([pid])


async def test_what_handlers_run_and_started_is_gone_soon_after_their_worker_is_killed(scene: Scene) -> None:
    with_program = await scene.pids(await scene.submit("test.deaf", "program"))
    in_native_code = await scene.pids(await scene.submit("test.stuck"))

    scene.worker.kill()

    assert (len(with_program), len(in_native_code)) == (2, 1)
    await gone(with_program + in_native_code)
