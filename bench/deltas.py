"""Output as models say it: 200 tasks in two workers, 100 pieces of text a second each, watched by SSE.

    python -m bench.deltas [TASKS] [SECONDS]

Each piece of text is its number and when it was said. Every watcher has to get every piece, in order; printed is how
old the pieces were when they arrived, the time for joining included. The clients share the machine.
"""

import asyncio
import json
import statistics
import sys
import time

from bench.load import load, post
from bench.platform import report
from bench.processor import ProcessorTime, listener
from tests.acceptance.deployment import Deployment, answers
from tests.support.servers import servers

TASKS = 200
SECONDS = 20
PER_SECOND = 100


class Listener:
    """Follows one task to its end, and notes how old each piece was."""

    def __init__(self) -> None:
        self.ages: list[float] = []
        self._rest = ""

    async def follow(self, port: int, task_id: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = (
            f"GET /v1/tasks/{task_id}/events?after=0 HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n\r\n"
        )
        writer.write(head.encode())
        kind = b""
        while kind != b"task.succeeded":
            line = await reader.readuntil(b"\n")
            if line.startswith(b"event: "):
                kind = line[7:-1]
            elif line.startswith(b"data: ") and kind == b"task.output":
                self._hear(json.loads(line[6:])["data"]["delta"])
        writer.close()

    def _hear(self, text: str) -> None:
        now = time.monotonic()
        *pieces, self._rest = (self._rest + text).split(" ")
        for piece in pieces:
            number, said_at = piece.split("@")
            if int(number) != len(self.ages):
                raise AssertionError(f"piece {number} came when {len(self.ages)} was due")
            self.ages.append(now - float(said_at))


async def main(amqp_url: str, database_url: str, tasks: int, seconds: int) -> None:
    settings = {"BACKHAUL_LOG_LEVEL": "warning"}
    async with Deployment(amqp_url, database_url, **settings) as deployment:
        gateway, ledger = await deployment.gateway(), deployment.ledger()
        workers = [deployment.worker_of("bench.noop:chorus") for _ in range(2)]
        await answers(f"{gateway.url}/v1/workers", lambda body: len(body["data"]) == len(workers))
        port = int(gateway.url.rpartition(":")[2])
        spent = ProcessorTime(
            {
                "gateway": gateway.pid,
                "ledger": ledger.pid,
                "worker": workers[0].pid,
                "RabbitMQ": listener(amqp_url),
                "PostgreSQL": listener(database_url),
            }
        )
        body = json.dumps({"kind": "chorus.sing", "input": seconds * PER_SECOND}).encode()
        answered = (await load(port, [post("/v1/tasks", body)] * tasks, 202, connections=20)).bodies
        listeners = [Listener() for _ in range(tasks)]
        start = time.perf_counter()
        async with asyncio.timeout(10 * seconds), asyncio.TaskGroup() as group:
            for listener_, answer in zip(listeners, answered, strict=True):
                group.create_task(listener_.follow(port, json.loads(answer)["id"]))
        took = time.perf_counter() - start
        ages = sorted(age for each in listeners for age in each.ages)
        if len(ages) != tasks * seconds * PER_SECOND:
            raise AssertionError(f"{len(ages)} pieces came of {tasks * seconds * PER_SECOND}")
        report(f"{tasks} tasks of {PER_SECOND} pieces a second, for {seconds} s", f"all {len(ages):,} in {took:.1f} s")
        p50, p99 = statistics.median(ages), ages[int(len(ages) * 0.99)]
        report("age of a piece as it arrives", f"p50 {p50 * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms")
        report("  microseconds of processor time for each", spent.since_last(len(ages)))


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    with servers() as urls:
        asyncio.run(main(*urls, *(given + [TASKS, SECONDS][len(given) :])))
