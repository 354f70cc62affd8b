"""The test's side of the probe service: hears attempts begin, and lets them take steps."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass


@dataclass
class Walker:
    """A running attempt: which, in which process; it takes a step for each byte it is sent."""

    attempt: int
    pid: int
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    async def step(self, count: int = 1) -> None:
        self._writer.write(b"." * count)
        await self._writer.drain()

    async def gone(self) -> None:
        """Return when it has ended, in whatever way."""
        async with asyncio.timeout(60):
            with suppress(ConnectionError):
                await self._reader.read()


class Pace:
    """Listens for attempts."""

    def __init__(self) -> None:
        self._walkers: asyncio.Queue[Walker] = asyncio.Queue()
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def walker(self) -> Walker:
        """The next attempt to begin."""
        async with asyncio.timeout(60):
            return await self._walkers.get()

    @property
    def idle(self) -> bool:
        """Whether no attempt has begun that nobody has asked for."""
        return self._walkers.empty()

    def close(self) -> None:
        """Hang up on every attempt."""
        for writer in self._writers:
            writer.close()

    async def greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """An attempt has called."""
        self._writers.append(writer)
        attempt, pid = (await reader.readline()).split()
        self._walkers.put_nowait(Walker(int(attempt), int(pid), reader, writer))


@asynccontextmanager
async def listening() -> AsyncIterator[Pace]:
    pace = Pace()
    server = await asyncio.start_server(pace.greet, "127.0.0.1", 0)
    pace.port = server.sockets[0].getsockname()[1]
    try:
        yield pace
    finally:
        pace.close()
        server.close()
        await server.wait_closed()
