"""A TCP proxy before a server: a network whose faults a test decides, while the server behind it runs on."""

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from enum import Flag, auto

from tests.support.ports import LOOPBACK, free_port

_CHUNK = 1 << 16
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, for no time: closing sends RST and drops what is unsent
_CONNECT_SECONDS = 5


class Way(Flag):
    """A direction through the proxy."""

    THERE = auto()
    """From clients to the server."""
    BACK = auto()
    """From the server to clients."""
    BOTH = THERE | BACK


class Proxy:
    """Listens on a port of its own, and passes every connection on to `host` and `port`.

    Used from one event loop. What a fault does counts for all its connections; `port` stays the same for good.
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = free_port()
        self._target = host, port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._gates = {Way.THERE: asyncio.Event(), Way.BACK: asyncio.Event()}
        self.release()

    async def open(self) -> None:
        """Accept connections."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port)

    async def close(self) -> None:
        """Refuse connections, and cut those that are open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        ending = self.cut()
        await asyncio.gather(*ending, return_exceptions=True)

    def cut(self) -> list[asyncio.Task[None]]:
        """End every connection at both ends without a word (RST). Returns what can be awaited for it."""
        ending = list(self._connections)
        for connection in ending:
            connection.cancel()
        return ending

    def hold(self, way: Way = Way.BOTH) -> None:
        """Keep every byte back until `release`, of new connections too, and even the end of one: to both sides the
        other just falls silent."""
        for direction in way:
            self._gates[direction].clear()

    def release(self) -> None:
        """Pass on what was kept back, and go on."""
        for gate in self._gates.values():
            gate.set()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.ensure_future(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        end: Callable[[asyncio.StreamWriter], None] = _reset
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                there_reader, there_writer = await asyncio.open_connection(*self._target)
            ends.append(there_writer)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pass_on(reader, there_writer, self._gates[Way.THERE]))
                group.create_task(_pass_on(there_reader, writer, self._gates[Way.BACK]))
            end = asyncio.StreamWriter.close
        except (OSError, TimeoutError, ExceptionGroup):  # one end is broken: so is the other
            pass
        finally:
            for each in ends:
                end(each)


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter, gate: asyncio.Event) -> None:
    while data := await source.read(_CHUNK):
        await gate.wait()
        sink.write(data)
        await sink.drain()
    await gate.wait()
    sink.write_eof()


def _reset(end: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
    end.transport.abort()
