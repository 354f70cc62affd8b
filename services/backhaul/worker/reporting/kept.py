"""A report that is kept until it is recorded, and what all of them weigh."""

import asyncio

from backhaul.worker.reporting import bodies
from backhaul_contracts import codec


class Kept:
    """A report that is not recorded yet. `body` is what follows its number on the wire, frozen when it is first sent:
    until then text can still be joined to `parts`."""

    __slots__ = ("body", "number", "parts", "recorded", "size")

    def __init__(self, number: int, body: bytes | None, size: int) -> None:
        self.number = number
        self.body = body
        self.size = size
        self.parts: list[str] = []
        self.recorded: asyncio.Future[None] | None = None

    def freeze(self) -> bytes:
        if self.body is None:
            self.body = bodies.output(codec.dumps("".join(self.parts)))
            self.parts.clear()
        return self.body


class Weight:
    """The bytes of all reports of a worker that are not recorded."""

    __slots__ = ("bytes",)

    def __init__(self) -> None:
        self.bytes = 0
