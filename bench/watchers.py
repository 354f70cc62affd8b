"""10,000 idle event streams on one gateway process: memory each, and how long one event takes to reach them all.

    python -m bench.watchers [COUNT]           beside a bare Starlette stream with as many, in the same run
    python -m bench.watchers serve WHAT PORT   only the process that is watched: `gateway` or `bare`

Both are served by the same uvicorn, and both streams end with the event. The client shares the machine with them.
"""

import asyncio
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import cast

import httpx
import psutil
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from backhaul.broker.memory import MemoryBroker
from backhaul.core import topology
from backhaul.core.clock import SystemClock
from backhaul.core.relay import Relay
from backhaul.gateway import Gateway, create_app
from backhaul.settings import Settings
from backhaul.wiring import open_store
from backhaul.wiring.garbage import calm_garbage_collector
from backhaul.wiring.http import HttpServer
from bench.gateway import BODY, KIND
from tests.support.ports import free_port

COUNT = 10_000
AT_ONCE = 200
LONGEST = 120
EVENT = b"task.cancelled"


@asynccontextmanager
async def gateway_app() -> AsyncIterator[ASGIApp]:
    """A whole gateway on an embedded store and broker."""
    settings, clock = Settings(), SystemClock()
    store, broker = open_store(Settings(database_url="sqlite:///:memory:"), clock), MemoryBroker()  # type: ignore[arg-type]
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
        gateway.drain()
        for loop in loops:
            loop.cancel()
    await store.stop()


@asynccontextmanager
async def bare_app() -> AsyncIterator[ASGIApp]:
    """The least that Starlette needs to send one event to all."""
    fired = asyncio.Event()
    event = b"id: 3\nevent: task.cancelled\ndata: " + b"x" * 200 + b"\n\n"

    async def follow(request: Request) -> Response:
        async def events() -> AsyncIterator[bytes]:
            yield b": here\n\n"
            await fired.wait()
            yield event

        return StreamingResponse(events(), media_type="text/event-stream")

    async def fire(request: Request) -> Response:
        fired.set()
        return Response()

    yield Starlette(routes=[Route("/events", follow), Route("/fire", fire, methods=["POST"])])


async def serve(what: str, port: int) -> None:
    """Until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with (
        gateway_app() if what == "gateway" else bare_app() as app,
        HttpServer(app, "127.0.0.1", port, on_stop=lambda: None).running(),
    ):
        calm_garbage_collector()
        await stopped.wait()


class Watcher(asyncio.Protocol):
    """One client of a stream."""

    def __init__(self, path: str) -> None:
        self._request = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n\r\n".encode()
        self._seen = b""
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.told: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.WriteTransport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        self._seen = (self._seen + data)[-2_000:]
        if not self.open.done() and b"200 OK" in self._seen:
            self.open.set_result(None)
        if not self.told.done() and EVENT in self._seen:
            self.told.set_result(time.perf_counter())


@dataclass(frozen=True, slots=True)
class Outcome:
    kib_each: float
    seconds: float
    cpu_seconds: float


async def measure(process: psutil.Process, port: int, path: str, fire: str, count: int) -> Outcome:
    """Open the streams, then let the event happen."""
    before = process.memory_info().rss
    watchers = await opened(port, path, count)
    await asyncio.sleep(1)
    each = (process.memory_info().rss - before) / 1024 / count
    cpu, began = sum(process.cpu_times()[:2]), time.perf_counter()
    async with httpx.AsyncClient(timeout=LONGEST, trust_env=False) as client:
        answer = asyncio.create_task(client.post(f"http://127.0.0.1:{port}{fire}"))
        told = await asyncio.gather(*(watcher.told for watcher in watchers))
        (await answer).raise_for_status()
    return Outcome(each, max(told) - began, sum(process.cpu_times()[:2]) - cpu)


async def opened(port: int, path: str, count: int) -> list[Watcher]:
    loop, watchers = asyncio.get_running_loop(), []
    for begin in range(0, count, AT_ONCE):
        some = [Watcher(path) for _ in range(begin, min(begin + AT_ONCE, count))]
        await asyncio.gather(
            *(loop.create_connection(lambda each=each: each, "127.0.0.1", port) for each in some)  # type: ignore[misc]
        )
        await asyncio.gather(*(watcher.open for watcher in some))
        watchers += some
    return watchers


@contextmanager
def served(what: str) -> Iterator[tuple[psutil.Process, int]]:
    """A process of its own, and its port."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.watchers", "serve", what, str(port)])
    try:
        yield psutil.Process(process.pid), port
    finally:
        process.terminate()
        process.wait(60)


async def answering(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


async def compare(count: int) -> None:
    async with asyncio.timeout(4 * LONGEST):
        with served("bare") as (process, port):
            await answering(port)
            bare = await measure(process, port, "/events", "/fire", count)
        with served("gateway") as (process, port):
            await answering(port)
            async with httpx.AsyncClient(trust_env=False) as client:
                headers = {"content-type": "application/json"}
                task = (await client.post(f"http://127.0.0.1:{port}/v1/tasks", content=BODY, headers=headers)).json()
            path = f"/v1/tasks/{task['id']}"
            ours = await measure(process, port, f"{path}/events", f"{path}/cancel", count)
    print(f"{count} idle streams on one process          gateway      bare Starlette   ratio")
    for name, mine, other in (
        ("memory each, KiB", ours.kib_each, bare.kib_each),
        ("one event to all of them, s", ours.seconds, bare.seconds),
        ("the same, CPU of the server, s", ours.cpu_seconds, bare.cpu_seconds),
    ):
        print(f"{name:<40} {mine:12.2f} {other:16.2f} {mine / other:9.2f}")


def allow_files() -> None:
    """Each stream is an open file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    allow_files()
    if sys.argv[1:2] == ["serve"]:
        uvloop.run(serve(sys.argv[2], int(sys.argv[3])))
    else:
        uvloop.run(compare(int(sys.argv[1]) if sys.argv[1:] else COUNT))
