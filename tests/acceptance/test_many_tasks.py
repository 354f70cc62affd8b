"""Many tasks on one connection, on real servers and processes: a WebSocket that changes gateways, and `/v1/events`."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from backhaul.client import AsyncClient
from tests.acceptance.deployment import Deployment, answers
from tests.acceptance.pace import listening

pytestmark = pytest.mark.timeout(150)

TASKS = 3


@pytest.fixture
async def deployment(amqp_url: str, database_url: str) -> AsyncIterator[Deployment]:
    async with Deployment(amqp_url, database_url) as deployment:
        yield deployment


def socket(url: str) -> connect:
    return connect(url.replace("http", "ws") + "/v1/ws", proxy=None, subprotocols=["backhaul.v1"])  # type: ignore[list-item]


async def say(connection: ClientConnection, **message: Any) -> None:
    await connection.send(json.dumps(message))


async def hear(connection: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(30):
        said: dict[str, Any] = json.loads(await connection.recv())
    return said


class Seen:
    """The `seq` of every event that came, by task."""

    def __init__(self) -> None:
        self.seqs: dict[str, list[int]] = {}
        self.ended: set[str] = set()

    def note(self, said: dict[str, Any]) -> None:
        if "op" in said:
            assert said["op"] == "ack", said
            return
        self.seqs[said["task_id"]].append(said["seq"])
        if said["type"] == "task.succeeded":
            self.ended.add(said["task_id"])

    async def submit(self, connection: ClientConnection, port: int) -> None:
        """Make a task and follow it, in two messages."""
        await say(connection, op="submit", kind="probe.steps", input={"port": port, "count": 3})
        while "task" not in (said := await hear(connection)):
            self.note(said)
        self.seqs[said["task"]["id"]] = []
        await say(connection, op="subscribe", task_id=said["task"]["id"], after=0)

    async def resume(self, connection: ClientConnection) -> None:
        for task_id, seqs in self.seqs.items():
            await say(connection, op="subscribe", task_id=task_id, after=seqs[-1])


class Opening(httpx.AsyncHTTPTransport):
    """The network, and `opened` when an answer begins: from then on a stream tells what happens."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        self.opened.set()
        return response


async def log(url: str, task_id: str) -> list[int]:
    async with httpx.AsyncClient(base_url=url) as http:
        answer = await http.get(f"/v1/tasks/{task_id}/events", headers={"Accept": "application/json"})
    return [event["seq"] for event in answer.json()["data"]]


async def test_tasks_are_followed_without_a_gap_from_gateway_to_gateway_and_on_one_stream(
    deployment: Deployment,
) -> None:
    deployment.ledger()
    deployment.worker()
    first, second = await deployment.gateway(), await deployment.gateway()
    await answers(f"{second.url}/v1/kinds", lambda body: any(kind["kind"] == "probe.steps" for kind in body["data"]))
    seen, network = Seen(), Opening()

    async with listening() as pace, AsyncClient(second.url, transport=network) as client:
        ends = client.events(type="task.succeeded")
        async with asyncio.TaskGroup() as group:
            first_end = group.create_task(anext(ends))
            async with asyncio.timeout(30):
                await network.opened.wait()
            async with socket(first.url) as before:
                for _ in range(TASKS):
                    await seen.submit(before, pace.port)
                walkers = [await pace.walker() for _ in range(TASKS)]
                for walker in walkers:
                    await walker.step()
                while min(map(len, seen.seqs.values())) < 4:
                    seen.note(await hear(before))
                stopping = group.create_task(asyncio.to_thread(first.terminate))
                with suppress(ConnectionClosed):
                    async for text in before:
                        seen.note(json.loads(text))
            for walker in walkers:
                await walker.step()
            async with socket(second.url) as after:
                await seen.resume(after)
                for walker in walkers:
                    await walker.step()
                while len(seen.ended) < TASKS:
                    seen.note(await hear(after))
        async with asyncio.timeout(30):
            told = [first_end.result(), *[await anext(ends) for _ in range(TASKS - 1)]]
        await ends.aclose()
    logs = {task_id: await log(second.url, task_id) for task_id in seen.seqs}

    assert (before.close_code, stopping.result()) == (1012, 0)
    assert seen.seqs == logs
    assert {event.task_id for event in told} == set(logs)
