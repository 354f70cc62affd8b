"""The stream of many tasks: live events of all of them, given to whoever chose them."""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from backhaul.core.batching import Backlog
from backhaul.core.clock import Clock
from backhaul.core.errors import StoreUnavailable
from backhaul.core.messages.announcements import STATUS_AFTER
from backhaul.gateway.push.subjects import Subject, Subjects
from backhaul.gateway.push.topic import Bell, Frame
from backhaul_contracts import codec
from backhaul_contracts.events import GAP, EventType
from backhaul_contracts.tasks import Status
from backhaul_contracts.wire import Json, format_time

_log = logging.getLogger("backhaul.gateway")

_MOST_WAITING = 10_000
_MOST_FRAMES = 1_000
_MOST_BYTES = 1024 * 1024

RECONNECT, SLOW, LOST = "reconnect", "slow", "lost"
"""Why a stream has a gap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which events to tell: all that is given must hold, and of what is given several times, one."""

    tenant: str
    types: frozenset[EventType] = frozenset()
    statuses: frozenset[Status] = frozenset()
    kind: str | None = None
    queue: str | None = None
    key: str | None = None
    parent_id: str | None = None
    metadata: frozenset[tuple[str, str]] = frozenset()

    def takes(self, subject: Subject, type: EventType) -> bool:
        """Whether an event of this type of this task is to be told."""
        return (
            subject.tenant == self.tenant
            and (not self.types or type in self.types)
            and (not self.statuses or _status(subject, type) in self.statuses)
            and self.kind in (None, subject.kind)
            and self.queue in (None, subject.queue)
            and self.key in (None, subject.key)
            and self.parent_id in (None, subject.parent_id)
            and self.metadata <= subject.metadata.items()
        )


class WideWatcher(Bell):
    """One who follows many tasks: a bounded buffer. Who is slower than what it chose finds a gap, and goes on now."""

    def __init__(self, choice: Choice, clock: Clock, missed: str | None) -> None:
        super().__init__()
        self.choice = choice
        self._clock = clock
        self._missed = missed
        self._frames: deque[Frame] = deque()
        self._bytes = 0

    @property
    def ended(self) -> bool:
        return False

    async def more(self) -> list[Frame]:
        """All there is now, behind a gap if anything is missing in front of it."""
        gap = [] if self._missed is None else [gap_frame(self._missed, self._clock.now())]
        frames = [*gap, *self._frames]
        self._missed = None
        self._clear()
        return frames

    def tell(self, frame: Frame) -> None:
        if len(self._frames) == _MOST_FRAMES or self._bytes > _MOST_BYTES:
            self._clear()
            self.miss(SLOW)
        self._frames.append(frame)
        self._bytes += len(frame.sse)
        self.wake()

    def miss(self, reason: str) -> None:
        """Show a gap next: who reads it later than what is missing can make it good from what the store says then."""
        self._missed = reason
        self.wake()

    def _clear(self) -> None:
        self._frames.clear()
        self._bytes = 0


@dataclass(slots=True)
class Wide:
    """Gives live events to those who follow many tasks. Nothing here is made good from the store: what is missing
    shows as `stream.gap`."""

    subjects: Subjects
    clock: Clock
    watchers: set[WideWatcher] = field(default_factory=set)
    _arrived: Backlog[Sequence[Json]] = field(default_factory=lambda: Backlog(100, weigh=len, most=_MOST_WAITING))

    @contextmanager
    def watch(self, choice: Choice, *, resumed: bool) -> Iterator[WideWatcher]:
        """A watcher of what happens from now on; `resumed`: it has followed before, and begins with a gap."""
        watcher = WideWatcher(choice, self.clock, RECONNECT if resumed else None)
        self.watchers.add(watcher)
        try:
            yield watcher
        finally:
            self.watchers.discard(watcher)

    def offer(self, events: Sequence[Json]) -> None:
        """A live message has arrived. Returns at once."""
        if not self._arrived.offer(events):
            self.miss()

    def miss(self) -> None:
        """Something was lost on its way here."""
        for watcher in self.watchers:
            watcher.miss(LOST)

    async def run(self) -> None:
        """Give on what has arrived, until cancelled."""
        while True:
            events = [event for batch in await self._arrived.take() for event in batch]
            if not self.watchers:
                continue
            try:
                await self._give(events)
            except StoreUnavailable as error:
                _log.info(
                    "whose tasks %d events belong to cannot be found out, streams show a gap: %s", len(events), error
                )
                self.miss()
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                _log.warning("a live message cannot be read, streams of many tasks show a gap: %s", error)
                self.miss()

    async def _give(self, events: Sequence[Json]) -> None:
        subjects = await self.subjects.of(event["task_id"] for event in events)
        for event in events:
            subject = subjects.get(event["task_id"])
            if subject is not None:
                self._tell(event, subject)

    def _tell(self, event: Json, subject: Subject) -> None:
        what = EventType(event["type"])
        takers = [watcher for watcher in self.watchers if watcher.choice.takes(subject, what)]
        if takers:
            frame = _frame(event)
            for taker in takers:
                taker.tell(frame)


def gap_frame(reason: str, at: datetime) -> Frame:
    """What stands for missing events of unknown tasks. It is an event object, of no task, and has no `id`."""
    body = codec.dumps(
        {"task_id": "", "seq": 0, "attempt": 0, "type": GAP, "time": format_time(at), "data": {"reason": reason}}
    )
    return Frame(0, body, b"event: %b\ndata: %b\n\n" % (GAP.encode(), body), terminal=False)


def _frame(event: Json) -> Frame:
    """An event as a stream of many tasks shows it: its `id` names the task, too."""
    body = codec.dumps(event)
    head = f"id: {event['task_id']}:{event['seq']}\nevent: {event['type']}\ndata: ".encode()
    return Frame(event["seq"], body, head + body + b"\n\n", terminal=False)


def _status(subject: Subject, type: EventType) -> Status:
    """The status of the task right after the event; who works and says something is running."""
    if type is EventType.ACCEPTED:
        return Status.SCHEDULED if subject.scheduled else Status.QUEUED
    return STATUS_AFTER.get(type, Status.RUNNING)
