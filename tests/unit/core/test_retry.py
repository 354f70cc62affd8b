"""How long to wait before the next attempt."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from backhaul.core.task.retry import backoff

TEN_YEARS = 3650 * 24 * 3600 * 1_000_000
LENGTHS = st.integers(0, TEN_YEARS).map(lambda microseconds: timedelta(microseconds=microseconds))
LAST = 1 - 2**-53
"""The largest number that chance draws."""


@given(base=LENGTHS, cap=LENGTHS, failures=st.integers(1, 1_000), drawn=st.floats(0, LAST))
def test_a_wait_lies_between_nothing_and_the_bound(
    base: timedelta, cap: timedelta, failures: int, drawn: float
) -> None:
    bound = min(cap.total_seconds(), base.total_seconds() * 2.0 ** (failures - 1))

    wait = backoff(base, cap, failures, lambda: drawn)

    assert timedelta(0) <= wait <= cap
    assert wait.total_seconds() <= bound * (1 + 1e-9) + 1e-6


@given(base=LENGTHS, cap=LENGTHS, failures=st.integers(1, 1_000))
def test_chance_reaches_both_ends_of_it(base: timedelta, cap: timedelta, failures: int) -> None:
    bound = min(cap.total_seconds(), base.total_seconds() * 2.0 ** (failures - 1))

    longest = backoff(base, cap, failures, lambda: LAST)

    assert backoff(base, cap, failures, lambda: 0.0) == timedelta(0)
    assert longest.total_seconds() >= bound * (1 - 1e-9) - 1e-6


def test_no_base_is_no_wait_however_often_it_failed() -> None:
    waits = {backoff(timedelta(0), timedelta(minutes=5), failures, lambda: 0.9) for failures in range(1, 100)}

    assert waits == {timedelta(0)}


def test_it_doubles_until_the_cap() -> None:
    bounds = [
        backoff(timedelta(seconds=1), timedelta(seconds=5), failures, lambda: 0.5) * 2 for failures in range(1, 6)
    ]

    assert [bound.total_seconds() for bound in bounds] == [1, 2, 4, 5, 5]
