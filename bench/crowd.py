"""500 async tasks at once in one worker on RabbitMQ and PostgreSQL: how late is its latest heartbeat?

    python -m bench.crowd

Prints the longest time between two heartbeats (5 s is what was asked for), and the memory of the worker.
"""

import asyncio
import time

import asyncpg
import httpx
import psutil

from tests.acceptance.deployment import Deployment, answers
from tests.support.servers import servers

CROWD = 500
SECONDS = 30


async def main(amqp_url: str, database_url: str) -> None:
    async with Deployment(amqp_url, database_url, BACKHAUL_LOG_LEVEL="warning") as deployment:
        gateway = await deployment.gateway()
        deployment.ledger()
        worker = psutil.Process(deployment.worker_of("bench.noop:crowd").pid)
        await answers(f"{gateway.url}/v1/kinds", lambda body: body["data"])
        print(f"memory of the idle worker                  {worker.memory_info().rss / 2**20:.0f} MiB")
        tasks = [{"kind": "crowd.hold", "input": SECONDS}] * CROWD
        async with httpx.AsyncClient(base_url=gateway.url) as client:
            (await client.post("/v1/tasks/batch", json={"tasks": tasks})).raise_for_status()
        longest, most = await watch(database_url)
        print(f"most tasks at once                         {most}")
        print(f"longest time between two heartbeats        {longest:.2f} s")
        print(f"memory of the worker with {CROWD} tasks        {worker.memory_info().rss / 2**20:.0f} MiB")


async def watch(database_url: str) -> tuple[float, int]:
    """The longest silence in seconds, and the most running tasks, until all are done."""
    database = await asyncpg.connect(database_url)
    longest, most, end = 0.0, 0, time.monotonic() + 4 * SECONDS
    last: int | None = None
    while time.monotonic() < end:
        heard = await database.fetchval("SELECT max(heartbeat_at) FROM workers")
        if last is not None and heard != last:
            longest = max(longest, (heard - last) / 1000)
        last = heard
        most = max(most, await database.fetchval("SELECT count(*) FROM states WHERE status = 'running'"))
        if await database.fetchval("SELECT count(*) FROM states WHERE status = 'succeeded'") == CROWD:
            break
        await asyncio.sleep(0.1)
    await database.close()
    return longest, most


if __name__ == "__main__":
    with servers() as urls:
        asyncio.run(main(*urls))
