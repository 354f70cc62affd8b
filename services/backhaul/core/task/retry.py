"""How long to wait before the next attempt: exponential back-off with full jitter.

Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: the wait is drawn evenly between zero and the
exponential bound, which spreads a crowd of retries best.
"""

from collections.abc import Callable
from datetime import timedelta

_LARGEST_SHIFT = 60
_UNIT = timedelta(microseconds=1)
"""Whole numbers of these neither overflow nor round, as lengths of time do."""


def backoff(base: timedelta, cap: timedelta, failures: int, draw: Callable[[], float]) -> timedelta:
    """The wait after the `failures`-th failure: `draw()` (in [0, 1)) of `min(cap, base * 2 ** (failures - 1))`."""
    doublings = min(max(failures - 1, 0), _LARGEST_SHIFT)
    bound = min(cap // _UNIT, (base // _UNIT) * 2**doublings)
    return timedelta(microseconds=bound * draw())
