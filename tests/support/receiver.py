"""A receiver of webhooks: a real HTTP server on loopback that answers as a test wants it to; and a fixture of one."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from tests.support.deadlines import within

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
HANG_UP = b""
"""In place of an answer: the connection ends."""


@dataclass(frozen=True)
class Call:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Any:
        """The payload, once the reference library has found it to be signed with `secret`."""
        return Webhook(secret).verify(self.body, self.headers)


@dataclass
class Receiver:
    """`answers` come first, one for each request, then what `answer` says. None: no answer at all."""

    port: int
    answers: deque[bytes | None] = field(default_factory=deque)
    answer: "Callable[[Call], bytes | None]" = lambda _: OK
    calls: asyncio.Queue[Call] = field(default_factory=asyncio.Queue)
    connections: "set[asyncio.Task[None]]" = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    async def call(self) -> Call:
        """The next request, waited for."""
        async with within():
            return await self.calls.get()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(asyncio.create_task(self._handle(reader, writer)))

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                call = await _read(reader)
                answer = self.answers.popleft() if self.answers else self.answer(call)
                self.calls.put_nowait(call)
                if answer is None:
                    await reader.read()
                if not answer:
                    return
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Call:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Call(first.split(" ")[1], headers, await reader.readexactly(int(headers["content-length"])))


def status(code: int, *headers: str, body: str = "") -> bytes:
    """An answer."""
    lines = [f"HTTP/1.1 {code} X", f"content-length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    """A receiver, on any free port if none is given."""
    receiver = Receiver(0)
    server = await asyncio.start_server(receiver.accept, "127.0.0.1", port)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for connection in receiver.connections:
            connection.cancel()
        await asyncio.gather(*receiver.connections, return_exceptions=True)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """On a port of its own, for one test."""
    async with receiving() as receiver:
        yield receiver
