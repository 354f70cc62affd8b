"""The audit: compares what watchers have been shown with the store, since live messages may be lost."""

import asyncio
import logging
from datetime import datetime, timedelta
from functools import partial

from backhaul.core.clock import Clock
from backhaul.core.errors import StoreUnavailable
from backhaul.core.messages.announcements import event_json
from backhaul.core.ports.broker import Broker
from backhaul.core.ports.store import Store
from backhaul.core.task.record import Event
from backhaul.gateway.patience import answered, first_of
from backhaul.gateway.push.feed import Feed
from backhaul.gateway.push.topic import Frame, Topic, frame

_log = logging.getLogger("backhaul.gateway")

_TICK = timedelta(seconds=1)
_CALM = timedelta(seconds=5)
_PAGE = 256


def event_frame(event: Event) -> Frame:
    """An event of the store as it is shown."""
    return frame(event.seq, event.type, event_json(event).encode())


def _time(event: Event) -> datetime:
    return event.time


class Audit:
    """Compares every five seconds, every second while broker or store is in trouble, and at once after a reconnect."""

    def __init__(self, feed: Feed, store: Store, broker: Broker, clock: Clock) -> None:
        self._feed = feed
        self._store = store
        self._broker = broker
        self._clock = clock
        self._kicked = asyncio.Event()
        self._compared_at: datetime | None = None
        self._store_failed = False
        self.repairs = 0
        """How often a topic was given events that it had not been told of live."""
        feed.on_behind = self._kicked.set
        broker.on_reconnect(self._reconnected)

    async def run(self) -> None:
        """Keep watchers level with the store, until cancelled."""
        while True:
            await first_of(self._clock.sleep(_TICK), self._kicked.wait())
            self._kicked.clear()
            try:
                await self._repair()
                if self._due():
                    await self._compare()
                self._store_failed = False
            except StoreUnavailable as error:
                self._report(error)

    def _reconnected(self) -> None:
        self._compared_at = None
        self._kicked.set()

    def _due(self) -> bool:
        if self._compared_at is None:
            return True
        calm = self._broker.connected and not self._store_failed and not self._feed.stalled
        age = self._clock.now() - self._compared_at
        return not timedelta(0) <= age < (_CALM if calm else _TICK)

    async def _compare(self) -> None:
        self._compared_at = self._clock.now()
        topics = [topic for topic in self._feed.topics.values() if topic.seq]
        if not topics:
            return
        seqs = await answered(self._store.seqs([topic.task_id for topic in topics]))
        for topic in topics:
            seq = seqs.get(topic.task_id)
            if seq is None:
                topic.vanish()
            elif seq > topic.seq:
                self._feed.behind.add(topic)
        await self._repair()
        self._resume()

    async def _repair(self) -> None:
        """Publish to the topics that are behind what the store has for them."""
        while self._feed.behind:
            topic = self._feed.behind.pop()
            try:
                await self._catch_up(topic)
            except StoreUnavailable:
                self._feed.behind.add(topic)
                raise

    async def _catch_up(self, topic: Topic) -> None:
        repaired = False
        while topic.watchers:
            events = await answered(self._store.events(topic.task_id, topic.seq, _PAGE))
            before = topic.seq
            for event in events:
                self._feed.push(topic, event_frame(event), partial(_time, event))
            if topic.seq == before:  # it has all that the store can give
                break
            repaired = True
        self.repairs += repaired

    def _resume(self) -> None:
        stalled = list(self._feed.stalled)
        self._feed.stalled.clear()
        for watcher in stalled:
            watcher.wake()

    def _report(self, error: StoreUnavailable) -> None:
        if not self._store_failed:
            _log.warning("watchers wait until the store is back: %s", error)
        self._store_failed = True
