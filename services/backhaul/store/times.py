"""Lengths and moments as they are stored: whole milliseconds."""

from datetime import datetime, timedelta
from functools import lru_cache

from backhaul.core.clock import to_ms


def milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)


@lru_cache(maxsize=4096)
def length(milliseconds: int) -> timedelta:
    """A length of time as it was stored. (Cached: a platform knows few different ones.)"""
    return timedelta(milliseconds=milliseconds)


@lru_cache(maxsize=4096)
def length_ms(length: timedelta) -> int:
    """A length of time as it is stored, rounded down."""
    return length // timedelta(milliseconds=1)
