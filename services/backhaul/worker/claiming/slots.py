"""Slots: how much of what a worker can run at once is taken. Pure accounting."""

from collections.abc import Iterable
from dataclasses import dataclass

from backhaul.worker.kit.handler import Handler


@dataclass(slots=True, eq=False)
class KindSlots:
    """The slots of one kind. `promised` are those that open claims may fill, `resuming` those that attempts which have
    waited for calls claim back."""

    handler: Handler
    running: int = 0
    promised: int = 0
    resuming: int = 0

    @property
    def free(self) -> int | None:
        """How many more tasks of the kind can start by its own limit; None: it has none."""
        limit = self.handler.slots
        return None if limit is None else max(0, limit - self.running - self.promised - self.resuming)


class Slots:
    """Every slot is free, reserved (for a token that waits or a claim that is open), or running a handler.

    What is free goes first to attempts that have waited for calls, and only then to new ones.
    """

    def __init__(self, total: int, handlers: Iterable[Handler]) -> None:
        self.total = total
        self.running = 0
        self.reserved = 0
        self.resuming = 0
        self.kinds = {handler.kind: KindSlots(handler) for handler in handlers}

    @property
    def free(self) -> int:
        return max(0, self.total - self.running - self.reserved - self.resuming)

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

    def claim_back(self, kind: str) -> None:
        """An attempt that has waited for calls wants to go on."""
        self.resuming += 1
        self.kinds[kind].resuming += 1

    def waive(self, kind: str) -> None:
        """It has gone on, or wants to no longer."""
        self.resuming -= 1
        self.kinds[kind].resuming -= 1

    def can_resume(self, kind: str) -> bool:
        """Whether one that wants to go on can."""
        of_kind = self.kinds[kind]
        limit = self.total if of_kind.handler.slots is None else of_kind.handler.slots
        return self.running + self.reserved < self.total and of_kind.running + of_kind.promised < limit
