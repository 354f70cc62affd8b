"""Identifiers: what they look like, and how they are made.

A task id is `tsk_` and the 26 Crockford base-32 characters of a UUIDv7 (RFC 9562), lower case, so ids sort by the
time at which they were made and carry that time.
"""

import os
import re
import time
from typing import NewType

TaskId = NewType("TaskId", str)
WorkerId = NewType("WorkerId", str)
ClaimId = NewType("ClaimId", str)
LeaseToken = NewType("LeaseToken", str)

TASK_ID_PATTERN = r"^tsk_[0-7][0-9abcdefghjkmnpqrstvwxyz]{25}$"

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_TASK_ID = re.compile(TASK_ID_PATTERN)
_VERSION_AND_VARIANT = (0x7 << 76) | (0b10 << 62)
_COUNTER_BITS = 12
_RANDOM_BITS = 62


def new_task_id(at_ms: int | None = None) -> TaskId:
    """A new task id that carries `at_ms` (milliseconds since the epoch; default: now)."""
    return TaskId("tsk_" + _sortable(at_ms))


def new_id(prefix: str, at_ms: int | None = None) -> str:
    """A new id of any other thing: `<prefix>_` and 26 characters, sortable by time."""
    return f"{prefix}_{_sortable(at_ms)}"


def is_task_id(text: str) -> bool:
    """Whether `text` could be a task id (it says nothing of whether the task exists)."""
    return _TASK_ID.fullmatch(text) is not None


def made_at_ms(task_id: str) -> int:
    """The milliseconds since the epoch that a task id carries."""
    number = 0
    for character in task_id[4:]:
        number = (number << 5) | _VALUES[character]
    return number >> 80


class _Counter:
    """Numbers what is made in the same millisecond, so that ids of one process sort in the order of their making.

    RFC 9562 §6.2, method 1: the counter stands in `rand_a`; when it is full, the time is borrowed from the future.
    """

    def __init__(self) -> None:
        self._asked = -1
        self._count = 0

    def next(self, milliseconds: int) -> tuple[int, int]:
        """The milliseconds to write, and the count within them."""
        self._count = self._count + 1 if milliseconds == self._asked else 0
        self._asked = milliseconds
        carry, count = divmod(self._count, 1 << _COUNTER_BITS)
        return milliseconds + carry, count


_counter = _Counter()


def _sortable(at_ms: int | None) -> str:
    milliseconds, count = _counter.next(time.time_ns() // 1_000_000 if at_ms is None else at_ms)
    random = int.from_bytes(os.urandom(8)) >> (64 - _RANDOM_BITS)
    number = (milliseconds << 80) | _VERSION_AND_VARIANT | (count << 64) | random
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(120, -1, -10)])
