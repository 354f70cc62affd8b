"""Reading one task's log from a cursor on: what is old from the store, what is new from the topic."""

from backhaul.core.clock import Clock
from backhaul.core.errors import StoreUnavailable
from backhaul.core.ports.store import Store
from backhaul.core.rendering import gap_event_json, snapshot_event_json
from backhaul.core.task.record import Snapshot
from backhaul.gateway.access.identity import Identity
from backhaul.gateway.access.links import StreamLinks
from backhaul.gateway.patience import answered
from backhaul.gateway.push.audit import event_frame
from backhaul.gateway.push.feed import Feed
from backhaul.gateway.push.topic import Frame, Watcher, frame
from backhaul_contracts.events import GAP, SNAPSHOT

_PAGE = 256


class Reading:
    """Give `snapshot` as it was read while `watcher` was watching, and `cursor` not beyond its `seq`.

    Without a cursor it begins with `task.snapshot`. Frames come in order and without holes (I7); where the log itself
    has lost events, `stream.gap` stands for them. `links` are for the tasks that both show, `reader` is who gets them.
    """

    __slots__ = (
        "_clock",
        "_cursor",
        "_feed",
        "_in_store",
        "_links",
        "_opening",
        "_reader",
        "_store",
        "_tenant",
        "_terminal",
        "_topic",
        "_watcher",
    )

    def __init__(
        self,
        feed: Feed,
        store: Store,
        clock: Clock,
        watcher: Watcher,
        snapshot: Snapshot,
        cursor: int | None,
        links: StreamLinks,
        reader: Identity,
    ) -> None:
        self._feed = feed
        self._store = store
        self._clock = clock
        self._links = links
        self._reader = reader
        self._watcher = watcher
        self._topic = watcher.topic
        self._tenant = snapshot.record.tenant
        self._opening = snapshot if cursor is None else None
        self._cursor = snapshot.record.seq if cursor is None else cursor
        self._in_store = self._cursor < snapshot.record.seq
        self._terminal = False
        feed.learn(watcher, snapshot.record.seq, ended=snapshot.record.status.done)

    @property
    def ended(self) -> bool:
        """Whether nothing follows any more, short of an operator's retry."""
        at_end = self._cursor >= self._topic.seq and not self._in_store and self._opening is None
        return self._topic.vanished or (self._terminal and at_end)

    async def more(self) -> list[Frame]:
        """The next frames, [] if there are none now: then there may be some when the watcher is woken next."""
        if self._opening is not None:
            return self._open(self._opening)
        if not self._in_store:
            frames = self._topic.after(self._cursor)
            if frames:
                return self._passed(frames)
            if frames is not None:
                return []
        try:
            return await self._from_store()
        except StoreUnavailable:
            self._feed.stalled.add(self._watcher)
            return []

    def _open(self, snapshot: Snapshot) -> list[Frame]:
        self._opening = None
        self._terminal = snapshot.record.status.done
        shown = snapshot_event_json(snapshot, self._clock.now(), self._links.token(snapshot.record, self._reader))
        return [frame(snapshot.record.seq, SNAPSHOT, shown.encode())]

    def _passed(self, frames: list[Frame]) -> list[Frame]:
        self._cursor = frames[-1].seq
        self._terminal = frames[-1].terminal
        return frames

    async def _from_store(self) -> list[Frame]:
        known = self._topic.seq
        events = await answered(self._store.events(self._topic.task_id, self._cursor, _PAGE))
        lost = events[0].seq > self._cursor + 1 if events else self._cursor < known
        if lost:
            return await self._gap()
        self._in_store = len(events) == _PAGE
        return self._passed([event_frame(event) for event in events]) if events else []

    async def _gap(self) -> list[Frame]:
        snapshot = await answered(self._store.snapshot(self._tenant, self._topic.task_id))
        if snapshot is None or snapshot.record.seq < self._topic.seq:  # deleted, or the database was set back
            self._topic.vanish()
            return []
        self._in_store = False
        self._cursor = snapshot.record.seq
        self._terminal = snapshot.record.status.done
        self._feed.learn(self._watcher, self._cursor, ended=self._terminal)
        shown = gap_event_json(snapshot, self._clock.now(), self._links.token(snapshot.record, self._reader))
        return [frame(self._cursor, GAP, shown.encode())]
