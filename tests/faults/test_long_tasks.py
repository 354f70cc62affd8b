"""Tasks that outlive the broker's patience with deliveries, which is 30 minutes on a stock RabbitMQ and 3 s here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from backhaul.broker.rabbitmq import RabbitBroker
from backhaul.core.messages.topology import Queue, Topology
from backhaul.core.ports.broker import Delivery, Message
from tests.acceptance.deployment import Deployment, Role, answers
from tests.acceptance.pace import Pace, listening
from tests.support.rabbitmq import PrivateRabbitMQ

pytestmark = pytest.mark.timeout(150)

HASTY = {"BACKHAUL_LEASE": "3s", "BACKHAUL_HEARTBEAT": "500ms"}
TARGET = "tests.acceptance.probe:service"
CANARY = "canary"


class Canary:
    """Keeps a delivery for ever, and loses its channel for that: so long at least has passed each time."""

    def __init__(self) -> None:
        self.deaths = 0
        self._died = asyncio.Event()

    def held(self, delivery: Delivery) -> None:
        """Never settled."""

    def lost(self) -> None:
        self.deaths += 1
        self._died.set()

    async def dies(self, times: int) -> None:
        """Return when the patience of the broker has been over so many times more."""
        wanted = self.deaths + times
        async with asyncio.timeout(60):
            while self.deaths < wanted:
                self._died.clear()
                await self._died.wait()


@asynccontextmanager
async def singing(url: str) -> AsyncIterator[Canary]:
    broker, canary = RabbitBroker(url, name="canary"), Canary()
    await broker.start()
    await broker.declare(Topology(queues=(Queue(CANARY),)))
    await broker.publish([Message(exchange="", routing_key=CANARY, body=b"", content_type="text/plain")])
    await broker.consume(CANARY, canary.held, credit=1, on_lost=canary.lost)
    yield canary
    await broker.stop()


@pytest.fixture
async def pace() -> AsyncIterator[Pace]:
    async with listening() as pace:
        yield pace


async def submit(url: str, kind: str, *inputs: Any) -> list[str]:
    async with httpx.AsyncClient(base_url=url) as client:
        response = await client.post("/v1/tasks/batch", json={"tasks": [{"kind": kind, "input": i} for i in inputs]})
    assert response.status_code == 202, response.text
    return [task["id"] for task in response.json()["tasks"]]


async def done(url: str, task_id: str) -> dict[str, Any]:
    task: dict[str, Any] = await answers(f"{url}/v1/tasks/{task_id}", lambda task: task["done"])
    return task


async def at_work(url: str, count: int) -> None:
    await answers(f"{url}/v1/workers", lambda page: len(page["data"]) == count)


def interrupted(*roles: Role) -> list[str]:
    return [line for role in roles for line in role.log.splitlines() if "interrupted" in line or "PRECONDITION" in line]


async def test_a_task_outlives_the_acknowledgement_timeout_and_its_worker_hoards_nothing(
    strict_rabbitmq: PrivateRabbitMQ, database_url: str, pace: Pace
) -> None:
    url = await strict_rabbitmq.create_vhost()
    async with Deployment(url, database_url, **HASTY) as deployment, singing(url) as canary:
        ledger, busy = deployment.ledger(), deployment.worker_of(TARGET, "--slots", "2")
        gateway = await deployment.gateway()
        await at_work(gateway.url, 1)
        steps = {"port": pace.port, "count": 1}
        long = await submit(gateway.url, "probe.steps", steps, steps)
        walkers = [await pace.walker(), await pace.walker()]
        await canary.dies(1)

        waiting = await submit(gateway.url, "probe.steps", *[steps] * 3)
        await canary.dies(3)
        started = [await answers(f"{gateway.url}/v1/tasks/{task_id}") for task_id in waiting]
        idle = deployment.worker_of(TARGET, "--slots", "2")
        others = [await pace.walker(), await pace.walker()]
        short = await submit(gateway.url, "probe.echo", *({"value": str(n)} for n in range(5)))
        await others[0].step()
        others.append(await pace.walker())
        for walker in others[1:]:
            await walker.step()
        echoed = [await done(gateway.url, task_id) for task_id in short]
        held_on = [walker.pid for walker in walkers]
        for walker in walkers:
            await walker.step()
        ended = [await done(gateway.url, task_id) for task_id in long + waiting]
        deaths = interrupted(ledger, busy, idle, gateway)

    assert canary.deaths >= 4
    assert {task["attempt"] for task in started} == {0}
    assert held_on == [busy.pid] * 2
    assert {walker.pid for walker in others} == {idle.pid}
    assert {task["status"] for task in ended + echoed} == {"succeeded"}
    assert {task["attempt"] for task in ended + echoed} == {1}
    assert deaths == []
