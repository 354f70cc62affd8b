"""The platform as deployed: one gateway, ledger and worker, RabbitMQ and PostgreSQL (with fsync), on this machine.

    python -m bench.platform

Prints, from one run: the round trip of bare aio-pika to compare with, the time from submit to the result pushed on an
idle system (also embedded), durable submits a second, and whole tasks a second.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aio_pika
import asyncpg

from bench.load import load, post
from bench.processor import ProcessorTime, listener
from bench.stream import Stream
from tests.acceptance.deployment import Deployment, Role, answers
from tests.support.ports import free_port
from tests.support.servers import servers

CLIENTS = 64
ROUNDS = 300
SUBMITS = 20_000
TASKS = 20_000
NOOP = {"kind": "bench.noop", "input": 1}


async def main(amqp_url: str, database_url: str) -> None:
    bare = await bare_round_trip(amqp_url)
    report("bare aio-pika publish and consume, quorum queue, p50", f"{bare * 1e3:.2f} ms")
    await idle_embedded()
    async with AsyncExitStack() as stack:
        deployment = await stack.enter_async_context(Deployment(amqp_url, database_url, BACKHAUL_LOG_LEVEL="warning"))
        gateway = await deployment.gateway()
        port = int(gateway.url.rpartition(":")[2])
        ledger = deployment.ledger()
        worker = deployment.worker_of("bench.noop:service")
        await answers(f"{gateway.url}/v1/kinds", lambda body: body["data"])
        database = await asyncpg.connect(database_url)
        stack.push_async_callback(database.close)
        await idle("submit to result pushed, RabbitMQ and PostgreSQL", port, bare)
        pids = {"gateway": gateway.pid, "ledger": ledger.pid, "worker": worker.pid}
        spent = ProcessorTime({**pids, "RabbitMQ": listener(amqp_url), "PostgreSQL": listener(database_url)})
        await whole(port, database, "whole tasks, submitted one by one by 64 clients", submit_singly)
        report("  microseconds of processor time for each", spent.since_last(TASKS))
        await whole(port, database, "whole tasks, submitted in batches of 100", submit_in_batches)
        report("  microseconds of processor time for each", spent.since_last(TASKS))
        await asyncio.to_thread(worker.terminate)
        spent = ProcessorTime(
            {"gateway": gateway.pid, "RabbitMQ": listener(amqp_url), "PostgreSQL": listener(database_url)}
        )
        await submits(port)
        report("  microseconds of processor time for each", spent.since_last(SUBMITS))


def report(what: str, figure: str) -> None:
    print(f"{what:<62} {figure}", flush=True)


async def bare_round_trip(amqp_url: str) -> float:
    """The median seconds of one confirmed publish, consumed on another connection."""
    async with await aio_pika.connect(amqp_url) as publishing, await aio_pika.connect(amqp_url) as consuming:
        channel, other = await publishing.channel(), await consuming.channel()
        queue = await other.declare_queue("bench.bare", durable=True, arguments={"x-queue-type": "quorum"})
        arrived: asyncio.Queue[None] = asyncio.Queue()

        async def heard(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            arrived.put_nowait(None)
            await message.ack()

        await queue.consume(heard)
        body = aio_pika.Message(b"x" * 450, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)

        async def once() -> None:
            await channel.default_exchange.publish(body, routing_key=queue.name)
            await arrived.get()

        times = await timed(once)
        await queue.delete(if_unused=False, if_empty=False)
        return statistics.median(times)


async def timed(once: Callable[[], Awaitable[None]]) -> list[float]:
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        await once()
        times.append(time.perf_counter() - start)
    return times[ROUNDS // 10 :]


async def idle(what: str, port: int, bare: float | None) -> None:
    stream = await Stream.open(port)

    async def once() -> None:
        await stream.submit("/v1/tasks", NOOP, b"event: task.succeeded")

    times = sorted(await timed(once))
    p50, p99 = statistics.median(times), times[int(len(times) * 0.99)]
    ratio = f", {p50 / bare:.1f} x bare" if bare else ""
    report(what, f"p50 {p50 * 1e3:.2f} ms, p99 {p99 * 1e3:.2f} ms{ratio}")
    stream.close()


async def idle_embedded() -> None:
    """`backhaul dev`, with its data on disk."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = ["dev", "bench.noop:service", "--port", str(port), "--data", f"{folder}/data"]
        start = time.perf_counter()
        role = Role(command, {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, Path(folder, "log"))
        await answers(f"http://127.0.0.1:{port}/v1/kinds", lambda body: body["data"])
        report("backhaul dev, from its start to its first kind", f"{time.perf_counter() - start:.2f} s")
        await idle("submit to result pushed, embedded", port, None)
        await asyncio.to_thread(role.terminate)


async def submits(port: int) -> None:
    """Nothing but durable submits: no worker is there to take the tasks up."""
    start = time.perf_counter()
    await submit_singly(port, SUBMITS)
    report(f"durable submits, {CLIENTS} clients", f"{SUBMITS / (time.perf_counter() - start):,.0f}/s")


async def submit_singly(port: int, count: int) -> None:
    await load(port, [post("/v1/tasks", json.dumps(NOOP).encode())] * count, 202, CLIENTS)


async def submit_in_batches(port: int, count: int) -> None:
    batch = json.dumps({"tasks": [NOOP] * 100}).encode()
    await load(port, [post("/v1/tasks/batch", batch)] * (count // 100), 202, connections=4)


async def whole(
    port: int, database: asyncpg.Connection, what: str, submit: Callable[[int, int], Awaitable[None]]
) -> None:
    """From the first submit to the last recorded result."""
    before = await database.fetchval("SELECT count(*) FROM states WHERE status = 'succeeded'")
    total = await database.fetchval("SELECT count(*) FROM tasks")
    start = time.perf_counter()
    await submit(port, TASKS)
    submitted = time.perf_counter() - start
    wanted = before + await database.fetchval("SELECT count(*) FROM tasks") - total
    done = 0
    while done < wanted:
        await asyncio.sleep(0.1)
        done = await database.fetchval("SELECT count(*) FROM states WHERE status = 'succeeded'")
    seconds = time.perf_counter() - start
    report(what, f"{(done - before) / seconds:,.0f}/s (submitted in {submitted:.1f} s)")


if __name__ == "__main__":
    with servers() as urls:
        asyncio.run(main(*urls))
