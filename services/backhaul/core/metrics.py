"""What a process counts as it works: plain numbers, read when somebody asks. How they are shown is decided elsewhere.

Label values are words of the platform or names that services announce: never a task, a tenant, or what a client wrote.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

Labels: TypeAlias = tuple[str, ...]
"""The values of a metric's labels, in their order."""

MOMENTS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds in seconds for what should be done at once."""
LENGTHS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
"""Bounds in seconds for what may take hours."""


class Shape(StrEnum):
    """How a metric's numbers move."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as it is documented. The name of a counter ends in `_total`, that of a length of time in `_seconds`."""

    name: str
    shape: Shape
    meaning: str
    labels: Labels = ()


class Spread:
    """How many values lie below each of some bounds, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """How many lie at or below each bound and above the one before; the last: above all."""
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Note one value. What clocks that differ have made negative counts as nothing."""
        value = max(value, 0.0)
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def add(self, other: "Spread") -> None:
        """Note all that another one has, which has the same bounds."""
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum

    def copy(self) -> "Spread":
        """As it is now, whatever it notes later."""
        copy = Spread(self.bounds)
        copy.counts, copy.sum = self.counts.copy(), self.sum
        return copy


class Spreads(dict[Labels, Spread]):
    """A spread for each combination of labels, made when it is first asked for."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        super().__init__()
        self._bounds = bounds

    def __missing__(self, labels: Labels) -> Spread:
        self[labels] = spread = Spread(self._bounds)
        return spread


@dataclass(frozen=True, slots=True)
class Reading:
    """A metric's numbers at one moment, by the values of its labels."""

    metric: Metric
    values: Mapping[Labels, float | Spread]


def alone(metric: Metric, value: float | Spread) -> Reading:
    """The reading of a metric without labels."""
    return Reading(metric, {(): value})


def by_word(counts: Mapping[str, int]) -> dict[Labels, float]:
    """What is counted by one word, as the values of a metric with one label."""
    return {(word,): count for word, count in counts.items()}


def total(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    """What several have counted, together."""
    together: Counter[str] = Counter()
    for each in counts:
        together.update(each)
    return together
