"""What is done to a deployment before roles start in it: topology and schema."""

import asyncio

from backhaul.core import topology
from backhaul.core.topology import Misfit
from backhaul.settings import Settings
from backhaul.wiring.adapters import open_broker


def upgrade_database(settings: Settings) -> None:
    """Bring the schema to what this version needs. Raises `StoreUnavailable`."""
    from backhaul.store import upgrade

    upgrade(settings.database_url.get_secret_value())


def check_database(settings: Settings) -> str | None:
    """Why the schema is not what this version needs, or None if it is. Raises `StoreUnavailable`."""
    from backhaul.store import check

    return check(settings.database_url.get_secret_value())


def apply_topology(settings: Settings) -> None:
    """Make everything stand on the broker. Raises `BrokerUnavailable` or `ConfigurationError`."""
    asyncio.run(_apply(settings))


def check_topology(settings: Settings) -> list[Misfit]:
    """What is missing on the broker or differs. Raises `BrokerUnavailable`."""
    return asyncio.run(_check(settings))


async def _apply(settings: Settings) -> None:
    broker = open_broker(settings, "backhaul topology apply")
    await broker.start()
    try:
        await broker.declare(topology.platform(settings.ledger_shards))
    finally:
        await broker.stop()


async def _check(settings: Settings) -> list[Misfit]:
    broker = open_broker(settings, "backhaul topology check")
    await broker.start()
    try:
        return await broker.check(topology.platform(settings.ledger_shards))
    finally:
        await broker.stop()
