"""Frames between a worker and its child processes: a head of a few words in JSON, and a body of any bytes."""

import asyncio
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from backhaul_contracts import codec

_LENGTHS = struct.Struct("!II")

Head = Mapping[str, Any]

SPARE = 1024 * 1024
"""What a frame may hold beside its payload: names, stacks, and the escapes of JSON."""


class BrokenFrame(Exception):
    """What came is no frame, or one that is too large to be meant."""


@dataclass(frozen=True, slots=True)
class Frame:
    head: Head
    body: bytes = b""

    def pack(self) -> bytes:
        head = codec.dumps(self.head)
        return b"".join((_LENGTHS.pack(len(head), len(self.body)), head, self.body))


async def receive(reader: asyncio.StreamReader, most: int) -> Frame | None:
    """The next frame, of at most `most` bytes; None at the end. Raises `BrokenFrame`."""
    try:
        head, body = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
        if head + body > most:
            raise BrokenFrame(f"a frame of {head + body:,} bytes, at most {most:,} are taken")
        return _frame(await reader.readexactly(head), await reader.readexactly(body))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def read(file: BinaryIO) -> Frame | None:
    """The next frame of a trusted, blocking file; None at its end."""
    lengths = file.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    head, body = _LENGTHS.unpack(lengths)
    rest = file.read(head + body)
    return _frame(rest[:head], rest[head:]) if len(rest) == head + body else None


def _frame(head: bytes, body: bytes) -> Frame:
    try:
        said = codec.loads(head)
    except ValueError as error:
        raise BrokenFrame(f"a frame whose head is no JSON ({error})") from error
    if not isinstance(said, dict):
        raise BrokenFrame("a frame whose head is no JSON object")
    return Frame(said, body)
