"""A small web site on a real socket whose pages behave as told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

Page = Callable[[str], Awaitable[bytes]]
"""Gets the method of a request and gives the bytes of the answer; no bytes close the connection."""


@dataclass
class Site:
    host: str
    port: int = 0
    pages: dict[str, Page] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    """Method and path of each."""
    headers: list[str] = field(default_factory=list)
    """All headers of each."""

    def url(self, path: str) -> str:
        return f"http://{self.host}:{self.port}{path}"

    def answers(self, path: str, status: int = 200, **headers: str) -> str:
        """The address of a page that answers so."""
        return self.behaves(path, lambda _: answer(status, **headers))

    def behaves(self, path: str, page: Page) -> str:
        """The address of a page with a behaviour of its own."""
        self.pages[path] = page
        return self.url(path)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while given := await self._next(reader):
            writer.write(given)
            await writer.drain()

    async def _next(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        line, headers = head.decode().split("\r\n", 1)
        method, path, _ = line.split(" ")
        self.requests.append(f"{method} {path}")
        self.headers.append(headers.lower())
        return await self.pages[path](method)


async def answer(status: int, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "content-length: 0"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


async def silence(_: str) -> bytes:
    """Never answers."""
    nothing: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    return await nothing


async def hang_up(_: str) -> bytes:
    return b""


@asynccontextmanager
async def open_site(host: str = "127.0.0.1") -> AsyncIterator[Site]:
    """A site that listens, and ends with all its connections."""
    site = Site(host)
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if run := asyncio.current_task():
            connections.add(run)
        try:
            await site.serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the visitor is gone, or the test is over
        finally:
            writer.close()

    server = await asyncio.start_server(serve, host, 0)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()
        for run in connections:
            run.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
