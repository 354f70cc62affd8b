"""What RabbitMQ's management API tells, where it is named: policies, nodes, and the clock there."""

from typing import TYPE_CHECKING

from backhaul.core.errors import BackhaulError
from backhaul.core.findings import Finding, fault, note, ok, warning
from backhaul.core.policies import amiss, policies
from backhaul.settings import Settings

if TYPE_CHECKING:
    from backhaul.broker.rabbitmq.management import Management, Node

_APART = 3.0
"""In seconds. The time there comes in whole ones."""
_APPLY = "run `backhaul topology apply`"


async def examine(settings: Settings) -> list[Finding]:
    """Findings on policies, nodes and the clock."""
    from backhaul.broker.rabbitmq.management import Management

    if settings.rabbitmq_management_url is None:
        fact = "policies and nodes were not looked at, since BACKHAUL_RABBITMQ_MANAGEMENT_URL is not set"
        return [note("policies", fact)]
    url = settings.rabbitmq_management_url.get_secret_value()
    async with Management(url, settings.amqp_url.get_secret_value()) as management:
        try:
            found = [*await _policies(management), _clock(management)]
        except BackhaulError as error:
            return [warning("policies", "they were not looked at", str(error))]
        try:
            return found + _nodes(await management.nodes())
        except BackhaulError as error:
            return [*found, note("nodes", "they were not looked at", str(error))]


async def _policies(management: "Management") -> list[Finding]:
    wanted = policies(await management.release())
    found = [
        warning("policies", f"{each.name} is missing, or differs", _APPLY)
        for each in amiss(wanted, await management.policies())
    ]
    return found or [ok("policies", f"all {len(wanted)} are in force")]


def _clock(management: "Management") -> Finding:
    ahead = management.ahead or 0.0
    if abs(ahead) > _APART:
        said = f"RabbitMQ's clock is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}"
        return warning("clock", said, "let an NTP service keep the clocks of all machines")
    return ok("clock", "RabbitMQ's agrees with this machine's to within a second or so")


def _nodes(nodes: "list[Node]") -> list[Finding]:
    found = [
        warning("nodes", f"{node.name} is down", "start it, or `rabbitmqctl forget_cluster_node`")
        for node in nodes
        if not node.running
    ]
    for node in nodes:
        if node.alarms:
            fact = f"{node.name} is short of {' and '.join(node.alarms)}: no node takes messages"
            found.append(fault("nodes", fact, "make room, or raise the limit"))
    return found or [ok("nodes", f"{', '.join(node.name for node in nodes)}: up, and no alarm")]
