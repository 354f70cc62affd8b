import time
from datetime import timedelta

import pytest

from backhaul.client.errors import ConnectionFailed
from backhaul.client.patience import BASE, CAP, Patience, backoff

FAILURE = ConnectionFailed("http://127.0.0.1:1", "connection refused", sent=False)


def test_the_longest_pause_doubles_up_to_a_cap() -> None:
    pauses = [backoff(failures, timedelta(0), draw=lambda: 1.0) for failures in (1, 2, 3, 4, 50)]

    assert pauses == [BASE, 2 * BASE, 4 * BASE, 8 * BASE, CAP]


def test_a_pause_may_be_any_part_of_the_longest() -> None:
    assert backoff(3, timedelta(0), draw=lambda: 0.0) == timedelta(0)


def test_what_the_server_asks_for_is_never_cut_short() -> None:
    asked = timedelta(seconds=20)

    assert backoff(1, asked, draw=lambda: 0.0) == asked


async def test_without_patience_the_first_failure_is_raised() -> None:
    with pytest.raises(ConnectionFailed):
        await Patience(timedelta(0)).pause(FAILURE)


async def test_a_pause_beyond_the_patience_is_not_begun() -> None:
    began = time.monotonic()

    with pytest.raises(ConnectionFailed):
        await Patience(timedelta(seconds=5)).pause(FAILURE, at_least=timedelta(minutes=1))

    assert time.monotonic() - began < 1
