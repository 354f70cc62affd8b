"""The database stops, hangs, or is overrun: a client hears 503 within two seconds, and everything goes on by itself."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from yarl import URL

from tests.acceptance.deployment import Deployment, Role, answers
from tests.acceptance.pace import Pace, listening
from tests.support.postgresql import PrivatePostgreSQL
from tests.support.proxy import Proxy

pytestmark = pytest.mark.timeout(150)

LEASE = {"BACKHAUL_LEASE": "3s", "BACKHAUL_HEARTBEAT": "1s"}
MOST_SECONDS = 2.0
A_LOADED_MACHINE = 5.0


@dataclass(frozen=True, slots=True)
class Database:
    """The server, and the network before it."""

    server: PrivatePostgreSQL
    proxy: Proxy


@pytest.fixture
async def database(private_postgresql: PrivatePostgreSQL) -> AsyncIterator[Database]:
    there = URL(private_postgresql.url)
    proxy = Proxy(str(there.host), there.port or 5432)
    await proxy.open()
    yield Database(private_postgresql, proxy)
    await proxy.close()


@pytest.fixture
async def deployment(database: Database, amqp_url: str) -> AsyncIterator[Deployment]:
    url = URL(database.server.url).with_port(database.proxy.port)
    async with Deployment(amqp_url, str(url), **LEASE) as deployment:
        yield deployment


@pytest.fixture
async def gateway(deployment: Deployment) -> Role:
    return await deployment.at_work()


@pytest.fixture
async def pace() -> AsyncIterator[Pace]:
    async with listening() as pace:
        yield pace


class Stream:
    """What one connection to a task's events has shown so far."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.begun = asyncio.Event()
        self.closed = asyncio.Event()

    async def run(self, url: str, task_id: str) -> None:
        async with (
            httpx.AsyncClient(base_url=url, timeout=60) as client,
            client.stream("GET", f"/v1/tasks/{task_id}/events?after=0") as response,
        ):
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    self.events.append(json.loads(line.removeprefix("data: ")))
                    self.begun.set()
        self.closed.set()


@asynccontextmanager
async def stopped(database: Database) -> AsyncIterator[None]:
    await asyncio.to_thread(database.server.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(database.server.start)


@asynccontextmanager
async def frozen(database: Database) -> AsyncIterator[None]:
    await asyncio.to_thread(database.server.freeze)
    try:
        yield
    finally:
        await asyncio.to_thread(database.server.thaw)


@asynccontextmanager
async def silenced(database: Database) -> AsyncIterator[None]:
    database.proxy.hold()
    try:
        yield
    finally:
        database.proxy.release()


@pytest.mark.parametrize("outage", [stopped, frozen, silenced])
async def test_while_the_database_is_away_clients_hear_so_in_time_and_streams_and_work_outlive_it(
    gateway: Role, database: Database, pace: Pace, outage: Callable[[Database], AbstractAsyncContextManager[None]]
) -> None:
    stream = Stream()
    async with httpx.AsyncClient(base_url=gateway.url, timeout=30) as client, asyncio.TaskGroup() as group:
        body = {"kind": "probe.steps", "input": {"port": pace.port, "count": 4}}
        task_id = (await client.post("/v1/tasks", json=body)).json()["id"]
        walker = await pace.walker()
        group.create_task(stream.run(gateway.url, task_id))
        await walker.step()
        await stream.begun.wait()

        async with outage(database):
            asked = ["/v1/tasks", f"/v1/tasks/{task_id}", "/v1/kinds", f"/v1/tasks/{task_id}/events", "/readyz"]
            await walker.step()
            # More at once than there are connections to the database, and for longer than one may take to open.
            told: list[tuple[httpx.Response, float]] = []
            for _ in range(3):
                calls = [timed(client, path) for path in asked * 5] + [submit(client) for _ in range(25)]
                told += await asyncio.gather(*calls)
            told.append(await timed(client, "/v1/tasks"))  # which shares the processor with none of the others
            for response, seconds in told:
                assert response.status_code == 503, response.text
                assert response.json()["code"] == "unavailable"
                assert int(response.headers["retry-after"]) >= 1
                assert seconds < MOST_SECONDS + A_LOADED_MACHINE, response.request
            assert min(seconds for _, seconds in told) < MOST_SECONDS
            down = (await client.get("/readyz")).json()
            assert not stream.closed.is_set()

        await walker.step(2)
        async with asyncio.timeout(40):
            await stream.closed.wait()
        await answers(f"{gateway.url}/readyz")
        task = (await client.get(f"/v1/tasks/{task_id}")).json()
        again = await client.post("/v1/tasks", json={"kind": "probe.echo", "input": {"value": "after"}})

    assert (down["down"], down["accepting"]) == (["store"], False)
    assert (task["status"], task["attempt"]) == ("succeeded", 1)
    assert [event["seq"] for event in stream.events] == list(range(1, task["seq"] + 1))
    assert again.status_code == 202


async def timed(client: httpx.AsyncClient, path: str) -> tuple[httpx.Response, float]:
    began = time.monotonic()
    response = await client.get(path)
    return response, time.monotonic() - began


async def submit(client: httpx.AsyncClient) -> tuple[httpx.Response, float]:
    began = time.monotonic()
    response = await client.post("/v1/tasks", json={"kind": "probe.echo", "input": {"value": "x"}})
    return response, time.monotonic() - began
