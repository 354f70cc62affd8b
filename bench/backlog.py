"""100,000 tasks that wait: their tokens lost, then that many too many. How long until work goes on, and what waits.

    python -m bench.backlog [COUNT]

On RabbitMQ and PostgreSQL, one gateway, two ledgers and two workers. First all tokens are purged while no worker is
there: the ledger has to notice, and give out new ones. Then, with nothing left to do and no worker there, tokens of
tasks that do not exist are published: workers that come must get to the one task that does.
"""

import asyncio
import sys
import time

import aio_pika
import asyncpg

from backhaul.core.messages import topology
from backhaul.core.messages.announcements import token_message
from backhaul.core.ports.dispatch import Token
from backhaul_contracts.envelope import CLOUDEVENT
from backhaul_contracts.ids import TaskId
from bench.noop import service
from bench.platform import NOOP, report, submit_in_batches
from bench.stream import Stream
from tests.acceptance.deployment import Deployment, answers
from tests.support.servers import servers

COUNT = 100_000
QUEUE = topology.task_queue(service.name)


async def main(amqp_url: str, database_url: str, count: int) -> None:
    async with (
        Deployment(amqp_url, database_url, BACKHAUL_LOG_LEVEL="warning") as deployment,
        await aio_pika.connect(amqp_url) as broker,
    ):
        database = await asyncpg.connect(database_url)
        gateway, _, _ = await deployment.gateway(), deployment.ledger(), deployment.ledger()
        first = deployment.worker_of("bench.noop:service")
        await answers(f"{gateway.url}/v1/kinds", lambda body: body["data"])
        await asyncio.to_thread(first.terminate)
        channel = await broker.channel()
        tokens = await channel.get_queue(QUEUE)
        port = int(gateway.url.rpartition(":")[2])

        start = time.perf_counter()
        await submit_in_batches(port, count)
        report(f"{count:,} tasks accepted", f"{time.perf_counter() - start:.1f} s")
        while await ready(channel) < count:
            await asyncio.sleep(0.1)
        await tokens.purge()
        start = time.perf_counter()
        workers = [deployment.worker_of("bench.noop:service") for _ in range(2)]
        await succeeded(database, 1)
        report("their tokens lost: until the first has run", f"{time.perf_counter() - start:.1f} s")
        await succeeded(database, count)
        report("until all have run", f"{time.perf_counter() - start:.1f} s")

        for worker in workers:
            await asyncio.to_thread(worker.terminate)
        await lead_astray(channel, count)
        left = await ready(channel)
        report(f"{count:,} tokens of nothing: left when the last was published", f"{left:,}")
        start = time.perf_counter()
        for _ in range(2):
            deployment.worker_of("bench.noop:service")
        await one_task(port)
        report("a task behind them, and the start of its worker", f"{time.perf_counter() - start:.1f} s")
        report("a task then takes", f"{await one_task(port) * 1e3:.1f} ms")
        await database.close()


async def ready(channel: aio_pika.abc.AbstractChannel) -> int:
    return (await channel.declare_queue(QUEUE, passive=True)).declaration_result.message_count or 0


async def succeeded(database: asyncpg.Connection, wanted: int) -> None:
    while await database.fetchval("SELECT count(*) FROM states WHERE status = 'succeeded'") < wanted:
        await asyncio.sleep(0.1)


async def lead_astray(channel: aio_pika.abc.AbstractChannel, count: int) -> None:
    exchange = await channel.get_exchange(topology.TASKS)
    body = token_message(Token(service.name, TaskId(""))).body
    token = aio_pika.Message(body, content_type=CLOUDEVENT, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    for _ in range(count // 1_000):
        await asyncio.gather(*(exchange.publish(token, routing_key=service.name) for _ in range(1_000)))


async def one_task(port: int) -> float:
    stream = await Stream.open(port)
    start = time.perf_counter()
    await stream.submit("/v1/tasks", NOOP, b"event: task.succeeded")
    stream.close()
    return time.perf_counter() - start


if __name__ == "__main__":
    with servers() as urls:
        asyncio.run(main(*urls, count=int(sys.argv[1]) if len(sys.argv) > 1 else COUNT))
