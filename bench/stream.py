"""One client that submits a task and follows its events on the same request."""

import asyncio
import json
from typing import Any, Self


class Stream:
    """A keep-alive connection, read for the event that is waited for and for nothing else."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def submit(self, path: str, body: Any, until: bytes) -> None:
        """Post, accept the event stream, and read it until a line that starts with `until`, then to its end."""
        text = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n"
            f"content-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n"
        )
        self._writer.write(head.encode() + text)
        await self._reader.readuntil(b"\n" + until)
        await self._reader.readuntil(b"0\r\n\r\n")

    def close(self) -> None:
        self._writer.close()
