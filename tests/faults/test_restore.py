"""A database is restored from its backup beside a new, empty broker: all that it knows of ends, each task once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.deployment import Deployment, Role, answers
from tests.faults.callers import FOLDER
from tests.support.databases import create_database
from tests.support.postgresql import PrivatePostgreSQL
from tests.support.servers import RabbitMQServer

pytestmark = pytest.mark.timeout(150)

SETTINGS = {"BACKHAUL_LEASE": "3s", "BACKHAUL_HEARTBEAT": "1s"}


@asynccontextmanager
async def at_work(amqp_url: str, database_url: str, folder: Path) -> AsyncIterator[Role]:
    """The gateway of a whole platform; at the end all its processes are killed."""
    async with Deployment(amqp_url, database_url, **SETTINGS, **{FOLDER: str(folder)}) as deployment:
        deployment.ledger()
        deployment.worker_of("tests.faults.callers:asking", "tests.faults.callers:answering")
        gateway = await deployment.gateway()
        await answers(f"{gateway.url}/v1/kinds", lambda body: len(body["data"]) == 3)
        yield gateway


async def test_all_that_a_backup_knows_of_ends_once_beside_a_broker_that_has_lost_everything(
    rabbitmq_server: RabbitMQServer, private_postgresql: PrivatePostgreSQL, tmp_path: Path
) -> None:
    before, restored = [await create_database(private_postgresql.url) for _ in range(2)]
    async with at_work(await rabbitmq_server.create_vhost(), before, tmp_path) as gateway:
        done = await succeeded(gateway, await submitted(gateway, "asking.length", "done", key="once"))
        waiting = await submitted(gateway, "asking.sum", ["a", "bb"])
        standing = await children(gateway, waiting, {"running", "waiting"})
        queued = await submitted(gateway, "answering.number", "ccc")
        await asyncio.to_thread(private_postgresql.dump, before, "backup")
        late = await succeeded(gateway, await submitted(gateway, "asking.length", "late"))

    await asyncio.to_thread(private_postgresql.restore, "backup", restored)
    for name in ("a", "bb", "ccc"):
        (tmp_path / f"{name}.go").touch()
    async with at_work(await rabbitmq_server.create_vhost(), restored, tmp_path) as gateway:
        summed = await succeeded(gateway, waiting)
        counted = await succeeded(gateway, queued)
        ended = await children(gateway, waiting, {"succeeded"})
        logs = [await log(gateway, task_id) for task_id in (waiting, queued, *ended)]

        assert (summed["result"], counted["result"]) == (3, 3)
        assert ended == standing
        assert all([event["seq"] for event in events] == [*range(1, len(events) + 1)] for events in logs)
        assert all([event["type"] for event in events].count("task.succeeded") == 1 for events in logs)
        assert await submitted(gateway, "asking.length", "done", key="once", status=200) == done["id"]
        assert (await succeeded(gateway, done["id"]))["finished_at"] == done["finished_at"]
        assert (await fetched(gateway, f"/v1/tasks/{late['id']}")).status_code == 404


async def fetched(gateway: Role, path: str, **params: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        return await client.get(path, params=params, headers={"Accept": "application/json"})


async def submitted(gateway: Role, kind: str, input: Any, *, status: int = 202, **options: Any) -> str:
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        response = await client.post("/v1/tasks", json={"kind": kind, "input": input, **options})
    assert response.status_code == status, response.text
    return str(response.json()["id"])


async def succeeded(gateway: Role, task_id: str) -> dict[str, Any]:
    task: dict[str, Any] = await answers(f"{gateway.url}/v1/tasks/{task_id}", lambda task: task["done"])
    assert task["status"] == "succeeded", task
    return task


async def children(gateway: Role, parent_id: str, statuses: set[str]) -> list[str]:
    """The ids of both children, once these are all of their statuses."""
    page = await answers(
        f"{gateway.url}/v1/tasks?parent_id={parent_id}",
        lambda page: len(page["data"]) == 2 and {task["status"] for task in page["data"]} == statuses,
    )
    return [task["id"] for task in page["data"]]


async def log(gateway: Role, task_id: str) -> list[dict[str, Any]]:
    page = (await fetched(gateway, f"/v1/tasks/{task_id}/events", after=0, limit=1000)).json()
    assert page["done"]
    return list(page["data"])
