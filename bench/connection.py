"""An HTTP/1.1 client as lean as can be, so that little of what is measured is the client's."""

import asyncio
import json
from typing import Any, Self


class Connection:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def post(self, path: str, body: Any) -> tuple[int, bytes]:
        self._send("POST", path, json.dumps(body).encode())
        return await self._answer()

    async def get(self, path: str) -> tuple[int, bytes]:
        self._send("GET", path, b"")
        return await self._answer()

    async def post_and_stream(self, path: str, body: Any, until: bytes) -> None:
        """Post, accept the event stream, and read it until a line that starts with `until`, then to its end."""
        self._send("POST", path, json.dumps(body).encode(), "accept: text/event-stream\r\n")
        await self._reader.readuntil(b"\n" + until)
        await self._reader.readuntil(b"0\r\n\r\n")

    def close(self) -> None:
        self._writer.close()

    def _send(self, method: str, path: str, body: bytes, headers: str = "") -> None:
        head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}"
        if body:
            head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self._writer.write(head.encode() + b"\r\n" + body)

    async def _answer(self) -> tuple[int, bytes]:
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        start = head.index(b"content-length:") + len(b"content-length:")
        length = int(head[start : head.index(b"\r\n", start)])
        return int(head[9:12]), await self._reader.readexactly(length)
