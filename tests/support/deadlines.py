"""How long a test server may take to answer."""

import asyncio
from datetime import timedelta

ANSWER_TIMEOUT = timedelta(seconds=20)


def within(limit: timedelta = ANSWER_TIMEOUT) -> asyncio.Timeout:
    """`asyncio.timeout` for one exchange with a test server."""
    return asyncio.timeout(limit.total_seconds())
