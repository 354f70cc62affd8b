"""What a look at RabbitMQ finds."""

from collections.abc import Awaitable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from backhaul.core.errors import BackhaulError
from backhaul.core.findings import Finding, fault, ok, warning
from backhaul.core.messages.permissions import ROLES, Grants
from backhaul.settings import Settings
from backhaul.wiring.doctor import managed

if TYPE_CHECKING:
    from backhaul.broker.rabbitmq import BrokerFacts

Look = Awaitable[list[Finding]]

_OLDEST = (3, 10)
_TRIED = 4
_WITH_SMALL_MESSAGES = (4, 0)
_LARGEST_MESSAGE = 16 * 2**20
_ROOM = 2**16
"""What a message has beside the body of a request."""
_GIVEN_BACK_AFTER = timedelta(minutes=30)
_NEEDED_BY: Mapping[str | None, tuple[str, ...]] = {"server": ("gateway", "ledger")}


async def examine(settings: Settings, role: str | None) -> list[Finding]:
    """Findings on the broker, the topology, and what this user may do there."""
    from backhaul.broker.rabbitmq import inspect_broker

    roles = _needed_by(role) or tuple(ROLES)
    asked = {permission for name in roles for permission in ROLES[name].samples()}
    try:
        facts = await inspect_broker(settings.amqp_url.get_secret_value(), sorted(asked, key=str))
        return [
            _version(facts),
            *_state(facts),
            *_sizes(settings, facts),
            _permissions(facts, role),
            *await _topology(settings),
            *await managed.examine(settings),
            _acknowledgements(settings),
        ]
    except BackhaulError as error:
        return [fault("broker", str(error))]


def _version(facts: "BrokerFacts") -> Finding:
    fact = f"{facts.product} {facts.version} at {facts.name}, {facts.cluster}"
    if facts.product != "RabbitMQ":
        return warning("broker", fact, "only RabbitMQ was tried")
    if facts.release < _OLDEST:
        return fault("broker", fact, "bring it to 3.10 or newer: older ones lose quorum queues' dead letters")
    if facts.release[0] > _TRIED:
        return warning("broker", fact, f"nobody has tried it: {_TRIED}.x is the newest that was")
    return ok("broker", fact)


def _state(facts: "BrokerFacts") -> list[Finding]:
    if facts.blocked is None:
        return []
    remedy = "make room (memory, disk), or raise the limit (vm_memory_high_watermark, disk_free_limit)"
    return [fault("broker", f"it takes no messages now ({facts.blocked})", remedy)]


def _sizes(settings: Settings, facts: "BrokerFacts") -> list[Finding]:
    """RabbitMQ 4 takes 16 MiB in one message unless it is told otherwise, and closes the channel of who sends more."""
    if facts.release < _WITH_SMALL_MESSAGES:
        return []
    return [
        warning(
            "broker",
            f"BACKHAUL_{name.upper()} is larger than the {_LARGEST_MESSAGE >> 20} MiB that this RabbitMQ takes at once",
            "make it smaller, or raise max_message_size in rabbitmq.conf",
        )
        for name in ("max_body", "max_result")
        if getattr(settings, name) + _ROOM > _LARGEST_MESSAGE
    ]


def _permissions(facts: "BrokerFacts", role: str | None) -> Finding:
    needed = _needed_by(role)
    lacking = {name: _lacking(facts, ROLES[name]) for name in needed or ROLES}
    who = f"user {facts.user} in vhost {facts.vhost}"
    missing = sorted({each for name in needed for each in lacking[name]})
    fitting = [name for name in lacking if not lacking[name]]
    if missing:
        return fault("permissions", f"{who} may not {', '.join(missing)}, as a {role} must", _remedy(facts))
    if not fitting:
        fewest = min(lacking, key=lambda name: len(lacking[name]))
        fact = f"{who} may be no role: not a {fewest}, for it may not {', '.join(sorted(lacking[fewest]))}"
        return fault("permissions", fact, _remedy(facts))
    return ok("permissions", f"{who} may be {' and '.join(needed or fitting)}")


def _needed_by(role: str | None) -> tuple[str, ...]:
    """Whose permissions a process of this role needs; None: no particular ones."""
    return _NEEDED_BY.get(role, (role,) if role else ())


def _lacking(facts: "BrokerFacts", grants: Grants) -> set[str]:
    return {str(permission) for permission in grants.samples() if permission in facts.forbidden}


def _remedy(facts: "BrokerFacts") -> str:
    return f"`rabbitmqctl set_permissions -p {facts.vhost} {facts.user} …`, with the patterns of docs/production.md"


async def _topology(settings: Settings) -> list[Finding]:
    from backhaul.wiring.maintenance import misfits

    found = await misfits(settings)
    if not found:
        return [ok("topology", "every exchange and queue stands")]
    alike: dict[tuple[str, str], list[str]] = {}
    for misfit in found:
        alike.setdefault((misfit.fact, misfit.remedy), []).append(misfit.thing)
    return [fault("topology", f"{_named(things)} {fact}", remedy) for (fact, remedy), things in alike.items()]


def _named(things: Sequence[str]) -> str:
    first, *others = things
    return f"{first} (and {len(others)} more)" if others else first


def _acknowledgements(settings: Settings) -> Finding:
    """Tokens are held for two heartbeats at most, however long their tasks run."""
    held = 2 * settings.heartbeat
    if held > _GIVEN_BACK_AFTER / 2:
        return warning(
            "delivery timeout",
            f"tokens may be held for {held}, and RabbitMQ takes back what is held for longer than 30 min",
            "make BACKHAUL_HEARTBEAT shorter",
        )
    return ok(
        "delivery timeout",
        f"tokens are held for {held.total_seconds():g} s at most; RabbitMQ's limit is 30 min unless consumer_timeout "
        "is set lower",
    )
