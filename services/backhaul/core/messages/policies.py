"""Policies: what of a queue may change while it stands, set by who may set policies.

Without them nothing is lost: the arguments that every queue is declared with hold the limits on which that depends.
Policies repeat these, so that a limit can be lowered, and add what a deployment may want otherwise.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from backhaul.core.messages.topology import DEAD, INVALID, TOKEN_DELIVERY_LIMIT

_Definition = dict[str, str | int]

_GIB = 2**30
_MILLISECOND = timedelta(milliseconds=1)

Release = tuple[int, int]
"""Major and minor version of RabbitMQ."""

OLDEST: Release = (3, 10)
_KNOWS_TIMEOUTS: Release = (3, 12)
"""From here on a policy can say how long a delivery may be held; before, one that does is refused."""
_HELD_FOR = timedelta(hours=12)
"""A ledger holds what it has read for as long as the database is away, and may not lose count of it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Holds for the queues whose names match `pattern`; of several the one with the highest priority holds alone."""

    name: str
    pattern: str
    definition: Mapping[str, str | int]
    priority: int = 0


def policies(release: Release = OLDEST) -> tuple[Policy, ...]:
    """Those that a RabbitMQ of this version understands."""
    held: _Definition = {"consumer-timeout": _HELD_FOR // _MILLISECOND} if release >= _KNOWS_TIMEOUTS else {}
    # Who publishes is told that it is full, and keeps what it has; nothing is dropped.
    full: _Definition = {"max-length-bytes": _GIB, "overflow": "reject-publish"}
    return (
        Policy("backhaul-submit", r"^backhaul\.submit$", {**_limited(INVALID), **full, **held}),
        Policy("backhaul-tokens", r"^backhaul\.tasks\.", {**_limited(DEAD, TOKEN_DELIVERY_LIMIT), **held}),
        Policy("backhaul-reports", r"^backhaul\.ledger\.[0-9]+$", {**_limited(DEAD), **full, **held}),
        # Of what workers ask and say the newest counts, and all of it is repeated.
        Policy(
            "backhaul-asked",
            r"^backhaul\.(claims|beats)$",
            {"max-length": 100_000, "overflow": "drop-head", **held},
        ),
        Policy("backhaul-heard", r"^backhaul\.on\.", {**_limited(DEAD), **held}),
    )


def amiss(wanted: Iterable[Policy], found: Iterable[Policy]) -> list[Policy]:
    """Those of `wanted` that are not there as they should be."""
    there = {policy.name: policy for policy in found}
    return [policy for policy in wanted if there.get(policy.name) != policy]


def _limited(letters: str, deliveries: int = 20) -> _Definition:
    return {"delivery-limit": deliveries, "dead-letter-exchange": "", "dead-letter-routing-key": letters}
