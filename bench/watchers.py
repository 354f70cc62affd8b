"""10,000 idle clients of one gateway process: memory each, and how long one event takes to reach them all.

    python -m bench.watchers [COUNT]           SSE and WebSocket beside bare Starlette streams, in the same run
    python -m bench.watchers serve WHAT PORT   only the process that is watched: `gateway` or `bare`

All are served by the same uvicorn, and streams end with the event. The client shares the machine with them.
"""

import asyncio
import resource
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
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

from backhaul.wiring.garbage import calm_garbage_collector
from bench.gateway import BODY, answering, gateway_app, serve_app, served

COUNT = 10_000
AT_ONCE = 200
LONGEST = 120
EVENT = b"task.cancelled"


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
    async with gateway_app("sqlite:///:memory:") if what == "gateway" else bare_app() as app:
        calm_garbage_collector()
        await serve_app(app, port, longest_message=2**20)


class Watcher(asyncio.Protocol):
    """One client of a stream."""

    is_open = b"200 OK"

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._seen = b""
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.told: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._seen = (self._seen + data)[-2_000:]
        if not self.open.done() and self.is_open in self._seen:
            self.open.set_result(None)
        if not self.told.done() and EVENT in self._seen:
            self.told.set_result(time.perf_counter())


class Subscriber(Watcher):
    """One client of a WebSocket, with one subscription."""

    is_open = b'"op":"ack"'

    def __init__(self, task_id: str) -> None:
        super().__init__(_HANDSHAKE)
        self._task_id = task_id
        self._subscribed = False

    def data_received(self, data: bytes) -> None:
        if not self._subscribed:
            self._subscribed = True
            self._transport.write(subscribe_frame(self._task_id))
        super().data_received(data)


_HANDSHAKE = (
    b"GET /v1/ws HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def subscribe_frame(task_id: str) -> bytes:
    """A text frame whose mask is zero."""
    text = f'{{"op":"subscribe","task_id":"{task_id}"}}'.encode()
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text


def stream_request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n\r\n".encode()


@dataclass(frozen=True, slots=True)
class Outcome:
    kib_each: float
    seconds: float
    cpu_seconds: float


async def measure(process: psutil.Process, port: int, watcher: Callable[[], Watcher], fire: str, count: int) -> Outcome:
    """Open the streams, then let the event happen."""
    before = process.memory_info().rss
    watchers = await opened(port, watcher, count)
    await asyncio.sleep(1)
    each = (process.memory_info().rss - before) / 1024 / count
    cpu, began = sum(process.cpu_times()[:2]), time.perf_counter()
    async with httpx.AsyncClient(timeout=LONGEST, trust_env=False) as client:
        answer = asyncio.create_task(client.post(f"http://127.0.0.1:{port}{fire}"))
        told = await asyncio.gather(*(each.told for each in watchers))
        (await answer).raise_for_status()
    return Outcome(each, max(told) - began, sum(process.cpu_times()[:2]) - cpu)


async def opened(port: int, watcher: Callable[[], Watcher], count: int) -> list[Watcher]:
    loop = asyncio.get_running_loop()
    watchers: list[Watcher] = []
    for begin in range(0, count, AT_ONCE):
        some = [watcher() for _ in range(begin, min(begin + AT_ONCE, count))]
        await asyncio.gather(
            *(loop.create_connection(lambda each=each: each, "127.0.0.1", port) for each in some)  # type: ignore[misc]
        )
        await asyncio.gather(*(each.open for each in some))
        watchers += some
    return watchers


async def compare(count: int) -> None:
    async with asyncio.timeout(4 * LONGEST):
        with served("bench.watchers", "bare") as (process, port):
            await answering(port)
            bare = await measure(process, port, lambda: Watcher(stream_request("/events")), "/fire", count)
        with served("bench.watchers", "gateway") as (process, port):
            task = await submitted(port)
            ours = await measure(
                process, port, lambda: Watcher(stream_request(f"{task}/events")), f"{task}/cancel", count
            )
        with served("bench.watchers", "gateway") as (process, port):
            task = await submitted(port)
            task_id = task.rpartition("/")[2]
            sockets = await measure(process, port, lambda: Subscriber(task_id), f"{task}/cancel", count)
    print(f"{f'{count} idle clients of one process':<36} bare Starlette      SSE   ratio   WebSocket   ratio")
    for name, other, one, two in (
        ("memory each, KiB", bare.kib_each, ours.kib_each, sockets.kib_each),
        ("one event to all of them, s", bare.seconds, ours.seconds, sockets.seconds),
        ("the same, CPU of the server, s", bare.cpu_seconds, ours.cpu_seconds, sockets.cpu_seconds),
    ):
        print(f"{name:<36} {other:14.2f} {one:8.2f} {one / other:7.2f} {two:11.2f} {two / other:7.2f}")


async def submitted(port: int) -> str:
    """The path of a task of a gateway that has just started."""
    await answering(port)
    async with httpx.AsyncClient(trust_env=False) as client:
        headers = {"content-type": "application/json"}
        answer = await client.post(f"http://127.0.0.1:{port}/v1/tasks", content=BODY, headers=headers)
    return str(answer.json()["links"]["self"])


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
