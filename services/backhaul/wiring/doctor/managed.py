"""What RabbitMQ's management API tells, where it is named: policies, bindings, nodes, and the clock there."""

from typing import TYPE_CHECKING

from backhaul.core.errors import BackhaulError
from backhaul.core.findings import Finding, fault, note, ok, warning
from backhaul.core.messages.bindings import unbound
from backhaul.core.messages.policies import amiss, policies
from backhaul.core.messages.topology import Binding, platform
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
        fact = "policies, bindings and nodes were not looked at, since BACKHAUL_RABBITMQ_MANAGEMENT_URL is not set"
        return [note("policies", fact)]
    url = settings.rabbitmq_management_url.get_secret_value()
    try:
        async with Management(url, settings.amqp_url.get_secret_value()) as management:
            found = [*await _policies(management), *_clock(management)]
            try:
                found += _bindings(settings, await management.bindings())
                return found + _nodes(await management.nodes())
            except BackhaulError as error:
                return [*found, note("nodes", "they, or the bindings, were not looked at", str(error))]
    except BackhaulError as error:
        return [warning("policies", "they were not looked at, nor were bindings and nodes", str(error))]


async def _policies(management: "Management") -> list[Finding]:
    wanted = policies(await management.release())
    found = [
        warning("policies", f"{each.name} is missing, or differs", _APPLY)
        for each in amiss(wanted, await management.policies())
    ]
    return found or [ok("policies", f"all {len(wanted)} are in force")]


def _bindings(settings: Settings, found: "list[Binding]") -> list[Finding]:
    wanted = platform(settings.ledger_shards)
    missing = [fault("bindings", f"{each.thing} {each.fact}", each.remedy) for each in unbound(wanted, found)]
    return missing or [ok("bindings", "every queue that stands gets what it is for")]


def _clock(management: "Management") -> list[Finding]:
    """None if it tells no time: a proxy may leave it out."""
    ahead = management.ahead
    if ahead is None:
        return []
    if abs(ahead) > _APART:
        said = f"RabbitMQ's clock is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}"
        return [warning("clock", said, "let an NTP service keep the clocks of all machines")]
    return [ok("clock", "RabbitMQ's agrees with this machine's to within a second or so")]


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
