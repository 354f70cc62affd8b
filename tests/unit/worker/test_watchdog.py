"""A handler that blocks the loop is reported with its stack."""

import asyncio
import threading
from datetime import timedelta

import pytest

from backhaul.worker.watchdog import Watchdog
from tests.support.deadlines import until

LIMIT = timedelta(milliseconds=50)


def block_the_loop(until_reported: "Watchdog") -> None:
    """What a careless handler does."""
    pause = threading.Event()
    while not until_reported.blockages:
        pause.wait(0.01)
    pause.wait(0.2)


async def test_a_blockage_is_reported_once_with_the_offending_stack(caplog: pytest.LogCaptureFixture) -> None:
    with Watchdog(LIMIT) as watchdog:
        block_the_loop(watchdog)
        await asyncio.sleep(0)

    assert watchdog.blockages == 1
    assert caplog.text.count("the event loop is blocked") == 1
    assert "in block_the_loop" in caplog.text


async def test_each_blockage_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    with Watchdog(LIMIT) as watchdog:
        block_the_loop(watchdog)
        first, watchdog.blockages = watchdog.blockages, 0
        await until(watchdog._alive.is_set)
        block_the_loop(watchdog)

    assert (first, watchdog.blockages) == (1, 1)


async def test_one_loop_has_one_watchdog(caplog: pytest.LogCaptureFixture) -> None:
    with Watchdog(LIMIT) as first, Watchdog(LIMIT) as second:
        block_the_loop(first)

    assert second.blockages == 0
