"""Policies and bindings over the management API, where a deployment has named one."""

from typing import TYPE_CHECKING

from backhaul.core.messages.bindings import unbound
from backhaul.core.messages.policies import amiss, policies
from backhaul.core.messages.topology import Misfit, platform
from backhaul.settings import Settings

if TYPE_CHECKING:
    from backhaul.broker.rabbitmq.management import Management


async def apply_policies(settings: Settings) -> bool:
    """Set those that are missing or differ. Returns whether there is an API to do so. Raises `BrokerUnavailable` or
    `ConfigurationError`."""
    if settings.rabbitmq_management_url is None:
        return False
    async with _management(settings) as management:
        wanted = policies(await management.release())
        for policy in amiss(wanted, await management.policies()):
            await management.set_policy(policy)
    return True


async def managed_misfits(settings: Settings) -> list[Misfit]:
    """Policies that are missing or differ, queues that are not bound; none if there is no API to ask. Raises as
    `apply_policies` does."""
    if settings.rabbitmq_management_url is None:
        return []
    async with _management(settings) as management:
        wanted = policies(await management.release())
        differing = [
            Misfit(f"policy {policy.name}", "is missing, or differs")
            for policy in amiss(wanted, await management.policies())
        ]
        return differing + unbound(platform(settings.ledger_shards), await management.bindings())


def _management(settings: Settings) -> "Management":
    from backhaul.broker.rabbitmq.management import Management

    url = settings.rabbitmq_management_url
    return Management(url.get_secret_value() if url else "", settings.amqp_url.get_secret_value())
