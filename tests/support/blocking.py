"""Nothing of ours blocks an event loop: while tests run, a call that could raises `blockbuster.BlockingError`."""

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster

WATCHED = ["backhaul", "backhaul_contracts"]

# What can take long. Looks at files are not watched: drivers and migrations do that, at start, and SQLite may be
# asked inline.
_LONG = ("time.", "socket.", "ssl.", "threading.")

# The blocking client waits, by its nature, for the loop of its own thread, also where another loop runs.
_BLOCKING_CLIENT = ("backhaul/client/loop_thread.py", {"run", "close", "_started"})


@pytest.fixture(scope="session", autouse=True)
def blocking_calls() -> Iterator[BlockBuster]:
    """The detector, at work in every test."""
    detector = BlockBuster(WATCHED)
    for name in [name for name in detector.functions if not name.startswith(_LONG)]:
        del detector.functions[name]
    for call in detector.functions.values():
        call.can_block_in(*_BLOCKING_CLIENT)
    detector.activate()
    yield detector
    detector.deactivate()


@pytest.fixture
def blocking_allowed(blocking_calls: BlockBuster) -> Iterator[None]:
    """For a test of what happens when a loop is blocked: the detector rests."""
    blocking_calls.deactivate()
    yield
    blocking_calls.activate()
