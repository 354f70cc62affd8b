"""Slots: how much of what a worker can run at once is taken. Pure accounting."""

from collections.abc import Iterable
from dataclasses import dataclass

from backhaul.worker.handler import Handler


@dataclass(slots=True, eq=False)
class KindSlots:
    """The slots of one kind. `promised` are those that open claims may fill."""

    handler: Handler
    running: int = 0
    promised: int = 0

    @property
    def free(self) -> int | None:
        """How many more tasks of the kind can start by its own limit; None: it has none."""
        limit = self.handler.slots
        return None if limit is None else max(0, limit - self.running - self.promised)


class Slots:
    """Every slot is free, reserved (for a token that waits or a claim that is open), or running a handler."""

    def __init__(self, total: int, handlers: Iterable[Handler]) -> None:
        self.total = total
        self.running = 0
        self.reserved = 0
        self.kinds = {handler.kind: KindSlots(handler) for handler in handlers}

    @property
    def free(self) -> int:
        return max(0, self.total - self.running - self.reserved)

    def reserve(self, count: int = 1) -> None:
        self.reserved += count

    def unreserve(self, count: int = 1) -> None:
        self.reserved -= count

    def occupy(self, kind: str) -> None:
        self.running += 1
        self.kinds[kind].running += 1

    def vacate(self, kind: str) -> None:
        self.running -= 1
        self.kinds[kind].running -= 1
