"""What is due: the targets of deliveries whose time has come, tenants in turn.

Of however many that wait, few are due at a moment: they are read from the index of their times. When that gives no end,
all of them may be of one target, which must hide no other. So then targets are looked at one by one, too: some at each
look, beginning where the last one ended.
"""

from collections import Counter
from collections.abc import Mapping

from sqlalchemy import Connection, Integer, Text, bindparam, case, func, select

from backhaul.store.functions import store_now
from backhaul.store.schema import IS_NEXT, IS_PENDING, deliveries

MOST_DELIVERIES = 1_000
MOST_TARGETS = 500

_Since = tuple[int, str]
"""When the first delivery of a target became due, and of which tenant it is."""

_now = select(store_now()).scalar_subquery()
_most = bindparam("most", type_=Integer)

EARLIEST = (
    select(deliveries.c.target, deliveries.c.next_at, deliveries.c.tenant)
    .where(IS_NEXT, deliveries.c.next_at <= _now)
    .order_by(deliveries.c.next_at)
    .limit(_most)
)

# One step along the index for each target, as for queues.
_first = (
    select(func.min(deliveries.c.target).label("target"))
    .where(IS_PENDING, deliveries.c.target > bindparam("after", type_=Text))
    .cte("targets", recursive=True)
)
_next = select(func.min(deliveries.c.target)).where(IS_PENDING, deliveries.c.target > _first.c.target).scalar_subquery()
_targets = _first.union_all(select(_next).where(_first.c.target.is_not(None)))
_due_at = (
    select(func.min(deliveries.c.next_at))
    .where(IS_PENDING, deliveries.c.target == _targets.c.target)
    .correlate(_targets)
    .scalar_subquery()
)
_standing = (
    select(_targets.c.target, _due_at.label("due_at"))
    .where(_targets.c.target.is_not(None))
    .limit(_most)
    .subquery("standing")
)
_whose = (
    select(deliveries.c.tenant)
    .where(IS_PENDING, deliveries.c.target == _standing.c.target)
    .order_by(deliveries.c.next_at)
    .limit(1)
    .correlate(_standing)
    .scalar_subquery()
)
SOME_TARGETS = select(
    _standing.c.target, _standing.c.due_at, case((_standing.c.due_at <= _now, _whose)).label("tenant")
)
"""The next targets behind `after`, in their order; the tenants of those that are due."""


def due(connection: Connection, after: str) -> tuple[list[str], str]:
    """Targets of what is due, in the order of their turn, and where the next look begins if this one began `after`."""
    earliest = connection.execute(EARLIEST, {"most": MOST_DELIVERIES}).all()
    found: dict[str, _Since] = {}
    for target, due_at, tenant in earliest:
        found.setdefault(target, (due_at, tenant))
    if len(earliest) == MOST_DELIVERIES:
        looked_at = connection.execute(SOME_TARGETS, {"after": after, "most": MOST_TARGETS}).all()
        for target, due_at, tenant in looked_at:
            if tenant is not None:
                found.setdefault(target, (due_at, tenant))
        after = max(looked_at).target if len(looked_at) == MOST_TARGETS else ""
    return _in_turn(found), after


def _in_turn(found: Mapping[str, _Since]) -> list[str]:
    """Of each tenant the one that waits longest, then the second of each, and so on."""
    before: Counter[str] = Counter()
    turns: list[tuple[int, int, str]] = []
    for target, (due_at, tenant) in sorted(found.items(), key=lambda item: item[1][0]):
        turns.append((before[tenant], due_at, target))
        before[tenant] += 1
    return [target for _, _, target in sorted(turns)]
