"""Load from keep-alive connections, by a client that costs next to nothing."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import cast

CONNECTIONS = 64
_PATIENCE = timedelta(seconds=120)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a load came to."""

    requests: int
    seconds: float
    bodies: list[bytes]

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def post(path: str, body: bytes) -> bytes:
    """A request as it goes over the wire."""
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def get(path: str) -> bytes:
    """A request as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode()


async def load(port: int, requests: list[bytes], status: int, connections: int = CONNECTIONS) -> Outcome:
    """Send every request, one at a time on each connection. Each must be answered with `status`."""
    waiting = iter(requests)
    bodies: list[bytes] = []
    loop = asyncio.get_running_loop()
    ended = [loop.create_future() for _ in range(connections)]
    begun = time.perf_counter()
    for future in ended:
        await loop.create_connection(partial(_Client, waiting, bodies, status, future), "127.0.0.1", port)
    async with asyncio.timeout(_PATIENCE.total_seconds()):
        await asyncio.gather(*ended)
    return Outcome(len(requests), time.perf_counter() - begun, bodies)


class _Client(asyncio.Protocol):
    """Sends the next request as soon as the last one is answered."""

    def __init__(
        self, waiting: Iterator[bytes], bodies: list[bytes], status: int, ended: "asyncio.Future[None]"
    ) -> None:
        self._waiting = waiting
        self._bodies = bodies
        self._status = b"HTTP/1.1 %d " % status
        self._ended = ended
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        place = self._received.index(b"content-length: ") + 16
        body_end = head_end + 4 + int(self._received[place : self._received.index(b"\r", place)])
        if len(self._received) < body_end:
            return
        if not self._received.startswith(self._status):
            self._fail(AssertionError(self._received.decode()))
            return
        self._bodies.append(self._received[head_end + 4 : body_end])
        self._received = b""
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or ConnectionError("the server closed the connection"))

    def _next(self) -> None:
        request = next(self._waiting, None)
        if request is not None:
            self._transport.write(request)
        elif not self._ended.done():
            self._ended.set_result(None)
            self._transport.close()

    def _fail(self, error: Exception) -> None:
        if not self._ended.done():
            self._ended.set_exception(error)
