"""Nothing of ours blocks an event loop: while tests run, a call that could raises `blockbuster.BlockingError`."""

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster

WATCHED = ["backhaul", "backhaul_contracts"]

# What can take long. Files are read at start alone, and SQLite may be asked inline.
_LONG = ("time.", "socket.", "ssl.", "threading.")

_MAY_BLOCK = (
    # The blocking client waits, by its nature, for the loop of its own thread, also where another loop runs.
    ("backhaul/client/loop_thread.py", {"run", "close", "_started"}),
    # A migration reads its scripts in a loop that it has to itself.
    ("backhaul/store/versions.py", {"migrate"}),
    # Drivers look at paths as they open a database: for certificates, and to make them absolute.
    ("asyncpg/connect_utils.py", {"_parse_connect_dsn_and_args"}),
    ("sqlalchemy/dialects/sqlite/pysqlite.py", {"create_connect_args"}),
)


@pytest.fixture(scope="session", autouse=True)
def blocking_calls() -> Iterator[BlockBuster]:
    """The detector, at work in every test."""
    detector = BlockBuster(WATCHED)
    for call in detector.functions.values():
        for place in _MAY_BLOCK:
            call.can_block_in(*place)
    detector.activate()
    yield detector
    detector.deactivate()


@pytest.fixture
def blocking_allowed(blocking_calls: BlockBuster) -> Iterator[None]:
    """For a test of what happens when a loop is blocked: the detector rests."""
    blocking_calls.deactivate()
    yield
    blocking_calls.activate()
