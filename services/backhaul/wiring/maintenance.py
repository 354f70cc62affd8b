"""What is done to a deployment before roles start in it: topology and schema."""

import asyncio

from backhaul.core.messages import topology
from backhaul.core.messages.topology import Misfit
from backhaul.settings import Settings
from backhaul.wiring.adapters import open_broker
from backhaul.wiring.policies import apply_policies, managed_misfits


def upgrade_database(settings: Settings) -> None:
    """Bring the schema to what this version needs. Raises `StoreUnavailable`."""
    from backhaul.store import upgrade

    upgrade(settings.database_url.get_secret_value())


def check_database(settings: Settings) -> str | None:
    """Why the schema is not what this version needs, or None if it is. Raises `StoreUnavailable`."""
    from backhaul.store import check

    return check(settings.database_url.get_secret_value())


def apply_topology(settings: Settings) -> list[Misfit]:
    """Make everything stand on the broker, set its policies if its management API is named, and clear away what is left
    of another number of shards. Returns what is still in use, and left for later. Raises `BrokerUnavailable` or
    `ConfigurationError`."""
    return asyncio.run(_apply(settings))


def check_topology(settings: Settings) -> list[Misfit]:
    """What is missing on the broker, differs, or is left over. Raises `BrokerUnavailable`."""

    async def all_misfits() -> list[Misfit]:
        return await misfits(settings) + await managed_misfits(settings)

    return asyncio.run(all_misfits())


async def _apply(settings: Settings) -> list[Misfit]:
    from backhaul.ledger.shards import Shards

    broker = open_broker(settings, "backhaul topology apply")
    await broker.start()
    try:
        await broker.declare(topology.platform(settings.ledger_shards))
        shards = Shards(broker, settings.ledger_shards)
        await shards.part()
        await apply_policies(settings)
        return [] if await shards.retire() else await shards.surplus()
    finally:
        await broker.stop()


async def misfits(settings: Settings) -> list[Misfit]:
    """Of exchanges and queues. Raises as `check_topology` does."""
    from backhaul.ledger.shards import Shards

    broker = open_broker(settings, "backhaul topology check")
    await broker.start()
    try:
        found = await broker.check(topology.platform(settings.ledger_shards))
        return found + await Shards(broker, settings.ledger_shards).surplus()
    finally:
        await broker.stop()
