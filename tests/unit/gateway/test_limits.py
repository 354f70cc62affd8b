"""Limits: what they remember of those who have called."""

from datetime import timedelta

import pytest

from backhaul.core.apikeys import EVERY
from backhaul.gateway.access.identity import Identity
from backhaul.gateway.access.limits import Limits, TooMany
from backhaul.settings import Rate
from backhaul.testing import ManualClock

A_MINUTE = timedelta(minutes=1)
MANY = 10_000


def caller(number: int) -> Identity:
    return Identity(f"tenant-{number}", EVERY)


def remembered(limits: Limits) -> int:
    return len(limits._meters)


def test_who_has_not_called_for_long_is_forgotten() -> None:
    clock = ManualClock()
    limits = Limits(Rate(count=2, seconds=60), None, clock)

    for number in range(MANY):
        limits.spend(caller(number))
        clock.advance(timedelta(seconds=1))

    assert remembered(limits) <= 1_000


def test_who_has_called_lately_is_not_forgotten_however_many_call() -> None:
    clock = ManualClock()
    limits = Limits(Rate(count=2, seconds=60), None, clock)
    for _ in range(2):
        limits.spend(caller(0))

    for number in range(1, MANY):
        limits.spend(caller(number))

    with pytest.raises(TooMany):
        limits.spend(caller(0))
    clock.advance(A_MINUTE)
    limits.spend(caller(0))


def test_open_streams_are_not_forgotten_and_closed_ones_are() -> None:
    limits = Limits(None, 1, ManualClock())

    with limits.streaming(caller(0)):
        for number in range(1, MANY):
            with limits.streaming(caller(number)):
                pass
        with pytest.raises(TooMany):
            limits.check_stream(caller(0))

    limits.check_stream(caller(0))
    assert remembered(limits) <= 1_000
