"""Shelves: the kinds and versions of which tasks wait in a queue."""

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, bindparam, select, tuple_

from backhaul.store.assignment import Shelf
from backhaul.store.schema import IS_QUEUED, states
from backhaul_contracts.claims import Claim

# Each shelf is one step along the index of claimable tasks, however many tasks stand on it.
_NEXT = (
    select(states.c.kind, states.c.version)
    .where(
        IS_QUEUED,
        states.c.queue == bindparam("queue"),
        tuple_(states.c.kind, states.c.version) > tuple_(bindparam("kind"), bindparam("version")),
    )
    .order_by(states.c.kind, states.c.version)
    .limit(1)
)


class Shelves:
    """The shelves on which tasks wait, looked up as they are asked for, each once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._next: dict[Shelf, Shelf | None] = {}

    def beyond(self, claims: Iterable[Claim]) -> set[str]:
        """Those of the claims on whose queues tasks wait that they have no capacity for."""
        return {claim.claim_id for claim in claims if self._has_others(claim.queue, _own(claim))}

    def _has_others(self, queue: str, own: Collection[Shelf]) -> bool:
        shelf = self._after(Shelf(queue, "", ""))
        while shelf is not None and shelf in own:
            shelf = self._after(shelf)
        return shelf is not None

    def _after(self, shelf: Shelf) -> Shelf | None:
        if shelf not in self._next:
            row = self._connection.execute(_NEXT, shelf._asdict()).first()
            self._next[shelf] = Shelf(shelf.queue, *row) if row else None
        return self._next[shelf]


def _own(claim: Claim) -> set[Shelf]:
    return {Shelf(claim.queue, capacity.kind, capacity.version) for capacity in claim.capacities}
