"""The stage that every test of the HTTP contract plays on: SQLite and the memory broker behind a gateway."""

import random
from collections.abc import AsyncIterator

import pytest

from backhaul.broker.memory import MemoryBroker
from backhaul.core.messages import topology
from backhaul.core.task.transitions import Rules
from backhaul.settings import Settings
from backhaul.store import open_store
from backhaul.testing import ManualClock
from tests.conformance.http.stage import KIND, Stage, staged


@pytest.fixture
def settings() -> Settings:
    """What a test replaces if it needs others."""
    return Settings()


@pytest.fixture
def store_url() -> str:
    """What a test replaces if it needs another store."""
    return "sqlite:///:memory:"


@pytest.fixture
async def stage(settings: Settings, store_url: str) -> AsyncIterator[Stage]:
    clock = ManualClock()
    rules = Rules(retention=settings.retention, draw=random.random)
    store, broker = open_store(store_url, clock=clock, rules=rules), MemoryBroker()
    await store.start()
    await store.announce([KIND])
    await broker.start()
    await broker.declare(topology.platform(settings.ledger_shards))
    await broker.declare(topology.task_queues([KIND.queue]))
    async with staged(store, broker, clock, settings) as stage:
        yield stage
    await broker.stop()
    await store.stop()
