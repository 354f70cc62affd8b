"""Whether the user of a role may do what the role does on the broker."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backhaul.core.messages.permissions import GATEWAY, LEDGER, Permission, worker
from backhaul.core.messages.topology import event_queue
from backhaul.settings import Settings

if TYPE_CHECKING:
    from backhaul.worker import Service


def needed_to_serve(*, gateway: bool, ledger: bool) -> list[Permission]:
    """By a process with these roles."""
    grants = [*([GATEWAY] if gateway else []), *([LEDGER] if ledger else [])]
    return [permission for grant in grants for permission in grant.samples()]


def needed_to_work(services: "Sequence[Service]") -> list[Permission]:
    """By workers for these services."""
    queues = {service.name: {handler.queue for handler in service.handlers.values()} for service in services}
    silent = {event_queue(service.name, "") for service in services if not service.listeners}
    needed = worker(queues).samples()
    return [permission for permission in needed if not any(permission.name.startswith(name) for name in silent)]


async def lacking(settings: Settings, needed: Sequence[Permission], name: str) -> list[str]:
    """Those of them that the configured user has not; `name` is what the broker's operators see. Raises
    `BrokerUnavailable`."""
    from backhaul.broker.rabbitmq import missing_permissions

    missing = await missing_permissions(settings.amqp_url.get_secret_value(), needed, name=name)
    return sorted(map(str, missing))
