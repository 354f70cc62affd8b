"""Faults on purpose: what a network and a broker do to messages, drawn from a seed."""

import random
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How likely each fault is, from 0 to 1. The same seed and the same calls give the same faults.

    `drop`: a transient message vanishes; a publish with a persistent one raises `BrokerUnavailable`, after none, some
    or all of its messages have arrived. `duplicate`: an acknowledgement is lost, so the message is delivered again.
    `delay`: a queue stands still for up to `longest_delay` when a message arrives. `reorder`: a message overtakes up
    to three that wait before it.
    """

    seed: int = 0
    drop: float = 0
    duplicate: float = 0
    delay: float = 0
    longest_delay: timedelta = timedelta(milliseconds=500)
    reorder: float = 0


class Dice:
    """The draws that `faults` stand for. Nothing is drawn for a fault that cannot happen."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._random = random.Random(faults.seed)  # noqa: S311  (repeatable, not secret)

    def drops(self) -> bool:
        return self._happens(self.faults.drop)

    def arrived(self, messages: int) -> int:
        """How many messages of a publish that fails have arrived."""
        return self._random.randint(0, messages)

    def duplicates(self) -> bool:
        return self._happens(self.faults.duplicate)

    def delay(self) -> timedelta | None:
        return self.faults.longest_delay * self._random.random() if self._happens(self.faults.delay) else None

    def overtakes(self, waiting: int) -> int:
        """How many of the waiting messages a new one overtakes."""
        return self._random.randint(1, min(3, waiting)) if waiting and self._happens(self.faults.reorder) else 0

    def _happens(self, likelihood: float) -> bool:
        return likelihood > 0 and self._random.random() < likelihood
