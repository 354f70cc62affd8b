"""`python -m tests.faults.cluster`: three nodes of RabbitMQ, of which one is killed under load, and comes back.

Each role speaks to a node of its own: the gateway to the first, of two ledgers and two workers one each to the second
and the third. The third has also made the queues, and so leads most of them. It is killed, and with it the connections
of one ledger and one worker. What was accepted has to end, once and well.
"""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic

import httpx

from tests.acceptance.deployment import Deployment, Role, answers
from tests.support.cluster import rabbitmq_cluster
from tests.support.databases import create_database
from tests.support.rabbitmq import PrivateRabbitMQ
from tests.support.servers import postgresql

_LEASE = {"BACKHAUL_LEASE": "10s", "BACKHAUL_HEARTBEAT": "2s"}
_EXAMINED = ("broker", "topology", "policies", "nodes")
_PATIENCE = 120
_PAGE = 100


@dataclass(slots=True)
class Load:
    """What was accepted, and how many submits were not."""

    accepted: list[str] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)
    slowest: timedelta = timedelta(0)


def main() -> int:
    wanted = argparse.ArgumentParser(prog="make cluster", description="A cluster that loses a node under load.")
    wanted.add_argument("--seconds", type=float, default=30, help="of load; the node is away for a third of it")
    wanted.add_argument("--rate", type=float, default=15, help="submits a second")
    given = wanted.parse_args()
    return asyncio.run(_run(given.seconds, given.rate))


async def _run(seconds: float, rate: float) -> int:
    async with rabbitmq_cluster(3) as nodes:
        with closing(postgresql()) as database:
            url = await create_database(database.url)
            async with _deployed(nodes, url) as (deployment, gateway):
                load = await _under_load(deployment, gateway, nodes, seconds, rate)
                ends = await _ends(gateway, load)
                await _examine(deployment, nodes[0])
    print(
        f"accepted {len(load.accepted)}, the slowest in {load.slowest.total_seconds():.2f} s; not: {dict(load.refused)}"
    )
    print("ends     " + ", ".join(f"{count} {end}" for end, count in sorted(ends.items())))
    whole = {end.split(",")[0] for end in ends} == {"succeeded"} and sum(ends.values()) == len(load.accepted)
    print("nothing lost, nothing stuck" if whole else "NOT WHOLE")
    return 0 if whole else 1


@asynccontextmanager
async def _deployed(nodes: list[PrivateRabbitMQ], database_url: str) -> AsyncIterator[tuple[Deployment, Role]]:
    managed = {"BACKHAUL_RABBITMQ_MANAGEMENT_URL": nodes[0].management_url}
    async with Deployment(nodes[-1].url, database_url, **_LEASE, **managed) as deployment:
        for node in nodes[1:]:
            deployment.ledger(BACKHAUL_AMQP_URL=node.url)
            deployment.worker(BACKHAUL_AMQP_URL=node.url)
        gateway = await deployment.gateway(BACKHAUL_AMQP_URL=nodes[0].url)
        await answers(f"{gateway.url}/v1/workers", lambda body: len(body["data"]) == 2)
        await _examine(deployment, nodes[0])
        yield deployment, gateway


async def _examine(deployment: Deployment, node: PrivateRabbitMQ) -> None:
    """Tell what `backhaul doctor` finds there."""
    said = await deployment.run("doctor", "--json", BACKHAUL_AMQP_URL=node.url)
    found = json.loads(said.stdout)["findings"]
    for each in found:
        if each["about"] in _EXAMINED:
            print(f"doctor   {each['severity']}: {each['about']}: {each['fact']}", flush=True)


async def _under_load(
    deployment: Deployment, gateway: Role, nodes: list[PrivateRabbitMQ], seconds: float, rate: float
) -> Load:
    load = Load()
    async with asyncio.TaskGroup() as group:
        group.create_task(_submit(gateway, load, seconds, rate))
        await asyncio.sleep(seconds / 3)
        led = [await node.leads(nodes[0].url) for node in nodes]
        print(
            f"killed   the node that led {led[-1]} of {sum(led)} queues, after {len(load.accepted)} tasks", flush=True
        )
        await asyncio.to_thread(nodes[-1].kill)
        await asyncio.sleep(seconds / 3)
        done = await _count(gateway, "succeeded")
        print(f"without  it {done} of {len(load.accepted)} tasks have succeeded", flush=True)
        await _examine(deployment, nodes[0])
        await asyncio.to_thread(nodes[-1].start)
        print("started  it again", flush=True)
    return load


async def _submit(gateway: Role, load: Load, seconds: float, rate: float) -> None:
    end = monotonic() + seconds
    async with httpx.AsyncClient(base_url=gateway.url, timeout=30) as client:
        while monotonic() < end:
            begun = monotonic()
            body = {"kind": "probe.echo", "input": {"value": "x"}}
            answer = await client.post("/v1/tasks", json=body)
            load.slowest = max(load.slowest, timedelta(seconds=monotonic() - begun))
            if answer.status_code == 202:
                load.accepted.append(answer.json()["id"])
            else:
                load.refused[answer.status_code] += 1
            await asyncio.sleep(1 / rate)


async def _count(gateway: Role, status: str) -> int:
    count, cursor = 0, None
    async with httpx.AsyncClient(base_url=gateway.url, timeout=30) as client:
        while True:
            asked: dict[str, str | int] = {"status": status, "limit": _PAGE, **({"cursor": cursor} if cursor else {})}
            page = (await client.get("/v1/tasks", params=asked)).json()
            count += len(page["data"])
            if (cursor := page["next_cursor"]) is None:
                return count


async def _ends(gateway: Role, load: Load) -> Counter[str]:
    """How the tasks stand when all have ended, or when nobody waits any more."""
    ends: Counter[str] = Counter()
    deadline = monotonic() + _PATIENCE
    async with httpx.AsyncClient(base_url=gateway.url, timeout=30) as client:
        for task_id in load.accepted:
            wait = {"Prefer": f"wait={max(1, min(20, int(deadline - monotonic())))}"}
            task = (await client.get(f"/v1/tasks/{task_id}", headers=wait)).json()
            ends[f"{task['status']}, attempt {task['attempt']}"] += 1
    return ends


if __name__ == "__main__":
    sys.exit(main())
