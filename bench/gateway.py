"""One gateway process under load: durable submits a second, and reads, beside an empty FastAPI call in the same run.

    python -m bench.gateway                    on PostgreSQL (with fsync) and on SQLite
    python -m bench.gateway serve URL PORT     only the process that is loaded, for a profiler

The gateway runs alone: no ledger and no worker take its tasks up, and the broker is the one in its own process.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import timedelta
from pathlib import Path

import psutil
import uvloop
from fastapi import FastAPI
from starlette.types import ASGIApp

from backhaul.broker.memory import MemoryBroker
from backhaul.core.clock import SystemClock
from backhaul.core.messages import topology
from backhaul.core.messages.relay import Relay
from backhaul.gateway import Gateway, create_app
from backhaul.settings import Settings
from backhaul.wiring import open_store, upgrade_database
from backhaul.wiring.http import HttpServer
from backhaul_contracts import codec
from backhaul_contracts.kinds import KindSpec, RetryRule
from bench.load import CONNECTIONS, Outcome, get, load, post
from tests.support.ports import free_port
from tests.support.servers import postgresql

REQUESTS = 20_000
BODY = b'{"kind":"bench.noop","input":{"text":"Large media travel by reference.","pages":[1,2,3]}}'
EMPTY = "/empty"
KIND = KindSpec(
    kind="bench.noop",
    service="bench",
    service_version="1.0.0",
    queue="bench",
    timeout=timedelta(minutes=10),
    grace=timedelta(seconds=5),
    retry=RetryRule(base=timedelta(seconds=1), cap=timedelta(minutes=5)),
    input_schema={"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    result_schema={},
)


async def serve(database_url: str, port: int) -> None:
    """A gateway on `port` until SIGTERM."""
    async with gateway_app(database_url) as app:
        add_empty_call(app)
        await serve_app(app, port)


@asynccontextmanager
async def gateway_app(database_url: str) -> AsyncIterator[FastAPI]:
    """A whole gateway, and its broker in this process."""
    settings = Settings(database_url=database_url)  # type: ignore[arg-type]
    clock = SystemClock()
    store, broker = open_store(settings, clock), MemoryBroker()
    await store.start()
    await store.announce([KIND])
    await broker.start()
    await broker.declare(topology.platform(1))
    await broker.declare(topology.task_queues([KIND.queue]))
    relay = Relay(store, broker, clock)
    gateway = Gateway(store, broker, relay, settings=settings, clock=clock)
    async with asyncio.TaskGroup() as group:
        loops = [group.create_task(relay.run()), group.create_task(gateway.run())]
        yield create_app(gateway)
        for loop in loops:
            loop.cancel()
    await store.stop()


async def serve_app(app: ASGIApp, port: int, longest_message: int | None = None) -> None:
    """As the platform serves, until SIGTERM. Streams that are open then are cut off."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with HttpServer(app, "127.0.0.1", port, on_stop=lambda: None, longest_message=longest_message).running():
        await stopped.wait()


def add_empty_call(app: FastAPI) -> None:
    """What FastAPI can do at best, under the same middlewares."""

    @app.get(EMPTY)
    async def empty() -> dict[str, str]:
        return {}


@contextmanager
def served(module: str, what: str) -> Iterator[tuple[psutil.Process, int]]:
    """A process of its own that serves, `python -m MODULE serve WHAT PORT`, and its port."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", module, "serve", what, str(port)])
    try:
        yield psutil.Process(process.pid), port
    finally:
        process.terminate()
        process.wait(60)


async def measure(name: str, process: psutil.Process, port: int) -> None:
    """Load the gateway in turn with empty calls, submits and reads."""
    await answering(port)
    await load(port, [post("/v1/tasks", BODY)] * 1_000, 202)
    empty = await timed(name, "empty FastAPI GET", process, port, [get(EMPTY)], 200)
    submits = await timed(name, "durable submit", process, port, [post("/v1/tasks", BODY)], 202, empty)
    paths = [get(codec.loads(body)["links"]["self"]) for body in submits.bodies[:1_000]]
    await timed(name, "GET of a task", process, port, paths, 200, empty)


async def timed(
    name: str,
    what: str,
    process: psutil.Process,
    port: int,
    requests: list[bytes],
    status: int,
    empty: Outcome | None = None,
) -> Outcome:
    before = sum(process.cpu_times()[:2])
    outcome = await load(port, requests * (REQUESTS // len(requests)), status)
    cpu = (sum(process.cpu_times()[:2]) - before) / outcome.requests
    compared = f", {outcome.rate / empty.rate:.0%} of empty" if empty else ""
    print(f"{name:<11} {what:<18} {outcome.rate:>7,.0f}/s, gateway CPU {cpu * 1e6:>4.0f} us{compared}", flush=True)
    return outcome


async def answering(port: int) -> None:
    """Return when something serves."""
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


def run(name: str, database_url: str) -> None:
    with served("bench.gateway", database_url) as (process, port):
        uvloop.run(measure(name, process, port))


def main() -> None:
    print(f"{CONNECTIONS} connections, {os.cpu_count()} cores shared with client and database")
    with tempfile.TemporaryDirectory() as folder:
        run("SQLite", f"sqlite:///{Path(folder) / 'bench.db'}")
    with closing(postgresql()) as server:
        upgrade_database(Settings(database_url=server.url))  # type: ignore[arg-type]
        run("PostgreSQL", server.url)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        uvloop.run(serve(sys.argv[2], int(sys.argv[3])))
    else:
        main()
