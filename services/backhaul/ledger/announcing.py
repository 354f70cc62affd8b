"""Announcements: what a service says of its kinds, taken as a whole or not at all."""

import logging

from backhaul.core.ports.store import KindId, Store
from backhaul.core.schema.compatibility import faults
from backhaul.ledger.eventqueues import EventQueues
from backhaul.ledger.taskqueues import TaskQueues
from backhaul_contracts.beats import Beat
from backhaul_contracts.kinds import Announcement, KindSpec, RefusedKind

_log = logging.getLogger("backhaul.ledger")


class Announcements:
    """Notes what workers announce, unless it breaks what is promised.

    `alone`: everything runs in this process, so nobody speaks what was announced before it started. Then a version may
    change between two starts, as it does while it is written; what is announced since keeps its promise here too.
    """

    def __init__(self, store: Store, queues: TaskQueues, events: EventQueues, *, alone: bool) -> None:
        self._store = store
        self._queues = queues
        self._events = events
        self._alone = alone
        self._heard: set[KindId] = set()

    async def hear(self, beat: Beat) -> tuple[Beat, list[RefusedKind]]:
        """The beat, its queues declared and its kinds noted: its worker consumes them as soon as it is answered.

        If they cannot be, its announcement is left out: so its worker is told that it is not known. What is refused for
        good comes with the reasons.
        """
        if beat.announcement is None:
            return beat, []
        specs = beat.announcement.kinds
        refused = [refusal for spec in specs if (refusal := _unfit(spec)) is not None]
        if not refused and (misfits := await self._declared(beat.announcement)):
            _log.error("service %s cannot be announced: %s", beat.service, "; ".join(misfits))
            return beat.model_copy(update={"announcement": None}), []
        refused = refused or await self._noted(beat.service, specs)
        return (beat.model_copy(update={"announcement": None}) if refused else beat), refused

    async def _declared(self, announcement: Announcement) -> list[str]:
        """What is wrong with the queues that it needs."""
        faults = await self._queues.declare(spec.queue for spec in announcement.kinds)
        return faults + await self._events.declare(announcement.interests)

    async def _noted(self, service: str, specs: list[KindSpec]) -> list[RefusedKind]:
        ids = [(spec.kind, spec.version) for spec in specs]
        anew = {one for one in ids if one not in self._heard} if self._alone else set()
        broken = await self._store.announce(specs, anew)
        refused = [one for one in broken if (one.kind, one.version) not in anew]
        for one in broken:
            said = "refused" if refused else "taken, since nobody speaks the old one any more"
            _log.warning("service %s: the change of %s@%s is %s: %s", service, one.kind, one.version, said, one.reason)
        if ids and not refused:
            self._heard.update(ids)
            _log.info("announced: %s", ", ".join(f"{kind}@{version}" for kind, version in sorted(ids)))
        return refused


def _unfit(spec: KindSpec) -> RefusedKind | None:
    found = faults(spec)
    return RefusedKind(kind=spec.kind, version=spec.version, reason="; ".join(found)) if found else None
