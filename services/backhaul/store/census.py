"""The census: all of the platform in a few numbers, each counted along an index and up to a bound."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection, FromClause, Select, func, literal_column, select

from backhaul.core.census import Census, Crew, Line
from backhaul.store.functions import store_now
from backhaul.store.reading import read_workers
from backhaul.store.schema import IS_PENDING, IS_TIMED, deliveries, outbox, states
from backhaul.store.standing import MOST, Standing, read_standing
from backhaul_contracts.listings import WorkerInfo
from backhaul_contracts.tasks import Status

_timed = select(states.c.status).where(IS_TIMED).limit(MOST).subquery("timed")
TIMED = select(_timed.c.status, func.count()).group_by(_timed.c.status)
_OLDEST_DEBT = select(store_now() - outbox.c.created_at).order_by(outbox.c.id).limit(1)


def _number(rows: Select[int], name: str) -> Select[int]:
    counted: FromClause = rows.limit(MOST).subquery(name)
    return select(func.count()).select_from(counted)


_one: Select[int] = select(literal_column("1"))
DEBTS = _number(_one.select_from(outbox), "owed")
DELIVERIES = _number(_one.select_from(deliveries).where(IS_PENDING), "pending")


def read_census(connection: Connection) -> Census:
    """See `Store.census`."""
    standing = read_standing(connection)
    return Census(
        kinds=tuple(standing.kinds),
        queues=_lines(standing),
        held=standing.held,
        timed={Status(status): number for status, number in connection.execute(TIMED)},
        debts=connection.execute(DEBTS).scalar_one(),
        oldest_debt=timedelta(milliseconds=max(0, connection.scalar(_OLDEST_DEBT) or 0)),
        deliveries=connection.execute(DELIVERIES).scalar_one(),
        crews=_crews(read_workers(connection)),
    )


def _lines(standing: Standing) -> tuple[Line, ...]:
    return tuple(
        Line(name, standing.waiting.get(name, 0), standing.oldest_ages.get(name), name in standing.paused)
        for name in standing.names
    )


def _crews(workers: Sequence[WorkerInfo]) -> tuple[Crew, ...]:
    numbers = Counter((worker.service, worker.state) for worker in workers)
    slots: Counter[tuple[str, str]] = Counter()
    for worker in workers:
        slots[worker.service, worker.state] += worker.slots
    return tuple(Crew(*which, number, slots[which]) for which, number in sorted(numbers.items()))
