"""Faults on demand: the same seed brings the same faults in the same order."""

import random
from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(slots=True)
class Faults:
    """What may go wrong with a message, each with a probability between 0 and 1.

    `drop`: a message that is not persistent vanishes; publishing a persistent one fails, and in half of the cases it
    has arrived all the same. `duplicate`: a message is delivered twice. `delay`: it comes up to `longest_delay` late.
    `reorder`: it overtakes up to three others.
    """

    seed: int = 0
    drop: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    reorder: float = 0.0
    longest_delay: timedelta = timedelta(seconds=1)
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - repeatable on purpose

    def strikes(self, probability: float) -> bool:
        """Whether it happens this time. A fault that cannot happen draws nothing, so it changes no other."""
        return probability > 0 and self._random.random() < probability

    def lateness(self) -> timedelta:
        """How late a delayed message comes."""
        return self.longest_delay * self._random.random()

    def overtaken(self) -> int:
        """How many messages a reordered one overtakes."""
        return self._random.randint(1, 3)
