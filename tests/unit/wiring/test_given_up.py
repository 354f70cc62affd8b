"""What a connection says when nobody waits for it any more."""

import asyncio

import pytest

from backhaul.wiring.processes import pass_over_given_up


@pytest.mark.parametrize(
    ("error", "lines"), [(OSError(-2, "Name or service not known"), 0), (ValueError("a fault"), 1)]
)
async def test_only_what_the_network_says_is_passed_over(
    error: Exception, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.get_running_loop()
    context = {"message": "Future exception was never retrieved", "exception": error, "future": loop.create_future()}

    pass_over_given_up(loop, context)

    assert len(caplog.records) == lines
