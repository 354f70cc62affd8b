"""A site to visit, and a visitor that may visit it."""

from collections.abc import AsyncIterator

import pytest

from linkcheck.settings import Settings
from linkcheck.visitor import Visitor, open_visitor
from tests.unit.linkcheck.site import Site, open_site


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with open_site() as opened:
        yield opened


@pytest.fixture
async def visitor() -> AsyncIterator[Visitor]:
    """May visit private addresses, two at a time to a host."""
    async with open_visitor(Settings(allow_private=True, per_host=2)) as opened:
        yield opened
