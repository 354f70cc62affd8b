"""Offers: what a claim says that a worker can start, and what that says of tasks that still wait."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from backhaul.worker.claiming.slots import Slots
from backhaul.worker.claiming.token import TokenStream
from backhaul_contracts.claims import Capacity


@dataclass(frozen=True, slots=True)
class Offer:
    """Up to `limit` tasks, of each kind up to its count. `capped`: kinds whose own limit keeps them below `limit`."""

    limit: int
    counts: Mapping[str, int]
    capped: tuple[str, ...]


class Offers:
    """Divides free slots among kinds.

    A token is anonymous, and dropped when nothing is granted on it. If a kind was at its own limit then, its tasks may
    wait without a token: such a kind is `owed`, and claimed for without one as soon as it has a slot again.
    """

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self.owed: dict[tuple[TokenStream, str], None] = {}

    def make(self, limit: int) -> Offer:
        """An offer of every kind, for `limit` slots that are reserved already."""
        free = self._slots.free + limit
        counts: dict[str, int] = {}
        capped = []
        for name, kind in self._slots.kinds.items():
            own = kind.free
            count = free if own is None else min(free, own)
            if count:
                counts[name] = count
            if count < limit:
                capped.append(name)
        return Offer(limit, counts, tuple(capped))

    def make_owed(self, kind: str) -> Offer | None:
        """An offer of one kind that has a limit, or None if it can start nothing now."""
        limit = min(self._slots.free, self._slots.kinds[kind].free or 0)
        return Offer(limit, {kind: limit}, ()) if limit else None

    def capacities(self, offer: Offer) -> list[Capacity]:
        """The offer as a claim says it."""
        kinds = self._slots.kinds
        return [
            Capacity(kind=name, version=kinds[name].handler.version, count=count)
            for name, count in offer.counts.items()
        ]

    def promise(self, offer: Offer) -> None:
        """What is offered can be granted from now on."""
        for name, count in offer.counts.items():
            self._slots.kinds[name].promised += min(count, offer.limit)

    def settle(self, stream: TokenStream, offer: Offer, granted: Counter[str], *, paused: bool) -> None:
        """The offer has been answered; `granted` counts by kind."""
        for name, count in offer.counts.items():
            self._slots.kinds[name].promised -= min(count, offer.limit)
        if paused:
            self.owed = {owed: None for owed in self.owed if owed[0] is not stream}
        elif granted.total() < offer.limit:
            self._learn(stream, offer, granted)

    def _learn(self, stream: TokenStream, offer: Offer, granted: Counter[str]) -> None:
        """Whatever could be granted was: more can wait only of a kind that took all it was offered, and was capped."""
        for name in dict.fromkeys((*offer.counts, *offer.capped)):
            self.owed.pop((stream, name), None)
            if name in offer.capped and granted[name] >= offer.counts.get(name, 0):
                self.owed[stream, name] = None
