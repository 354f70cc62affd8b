"""The feed: live events come in from the broker, and reach everyone here who watches their tasks."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from backhaul.core.clock import Clock
from backhaul.core.errors import BrokerUnavailable, ConfigurationError
from backhaul.core.messages import topology
from backhaul.core.metrics import MOMENTS, Spread
from backhaul.core.ports.broker import Broker, Delivery, Subscription
from backhaul.gateway.patience import first_of
from backhaul.gateway.push.senders import Senders
from backhaul.gateway.push.topic import Frame, Topic, Watcher, frame
from backhaul.gateway.push.wide import Wide
from backhaul_contracts import codec
from backhaul_contracts.ids import TaskId
from backhaul_contracts.wire import Json

_log = logging.getLogger("backhaul.gateway")

_CREDIT = 1000
_PULSE = timedelta(seconds=15)
_RETRY = timedelta(seconds=1)
_FAREWELL = timedelta(seconds=1)

W = TypeVar("W", bound=Watcher)


class Attendant(Protocol):
    """One who wants a sign of life, and to hear of the end."""

    def wake(self) -> None: ...


class Feed:
    """The topics that are watched through this gateway.

    A live message may be lost; then a topic is `behind`, and the audit, woken through `on_behind`, reads the store.
    """

    def __init__(self, broker: Broker, clock: Clock, gateway_id: str, wide: Wide) -> None:
        self.wide = wide
        self.topics: dict[TaskId, Topic] = {}
        self.behind: set[Topic] = set()
        self.stalled: set[Watcher] = set()
        """Those whom the store owes an answer: woken when it answers again."""
        self.pulse = 0
        """Counts the pulses: at each, every stream gives a sign of life."""
        self.closing = False
        self.attendants: set[Attendant] = set()
        """Those who are woken by every pulse and at the end, whatever they watch."""
        self.pushed = Spread(MOMENTS)
        """How long after their end watched tasks were first shown to have ended, by whichever way that came."""
        self.on_behind: Callable[[], None] = lambda: None
        self._broker = broker
        self._clock = clock
        self._senders = Senders()
        self._hearing = asyncio.Event()
        broker.on_reconnect(wide.miss)
        self._mailbox = topology.mailbox(topology.LIVE, gateway_id, map(str, range(topology.SHARD_KEYS)))

    def watch(self, task_id: TaskId, kind: type[Watcher] = Watcher) -> "Watch":
        """A watcher of the task. Read the store only inside: what is committed after that is seen by the watcher."""
        return Watch(self, task_id, kind)

    def topic(self, task_id: TaskId) -> Topic:
        """The topic of a task, for a watcher that is to be admitted right away."""
        return self.topics.get(task_id) or Topic(task_id)

    def admit(self, watcher: W) -> W:
        """From now on `watcher` hears of its topic, until it is released."""
        self.topics.setdefault(watcher.topic.task_id, watcher.topic)
        watcher.topic.watchers.add(watcher)
        return watcher

    def release(self, watcher: Watcher) -> None:
        topic = watcher.topic
        topic.watchers.discard(watcher)
        self.stalled.discard(watcher)
        if not topic.watchers and self.topics.get(topic.task_id) is topic:
            del self.topics[topic.task_id]
            self.behind.discard(topic)

    @contextmanager
    def attended(self, attendant: Attendant) -> Iterator[None]:
        """Wake `attendant` at every pulse and at the end, for as long as the block lasts."""
        self.attendants.add(attendant)
        try:
            yield
        finally:
            self.attendants.discard(attendant)

    async def heard(self, within: timedelta) -> None:
        """Return when live events arrive here, at the latest after `within`; then whoever follows many tasks finds a
        gap as soon as they do."""
        if not self._hearing.is_set():
            await first_of(self._clock.sleep(within), self._hearing.wait())

    def learn(self, watcher: Watcher, seq: int, *, ended: bool) -> None:
        """Note what the store said of a watched task."""
        if not watcher.topic.learn(seq, ended=ended):
            self.fell_behind(watcher.topic)

    def push(self, topic: Topic, news: Frame, happened: Callable[[], datetime]) -> bool:
        """Give the watchers of `topic` its next event. False if events before it are missing: then they get nothing."""
        is_awaited_end = news.terminal and topic.awaits(news.seq)
        if not topic.publish(news):
            return False
        if is_awaited_end:
            self.pushed.observe((self._clock.now() - happened()).total_seconds())
        return True

    def fell_behind(self, topic: Topic) -> None:
        """Have the audit read what `topic` lacks."""
        self.behind.add(topic)
        self.on_behind()

    def close(self) -> None:
        """End every stream and every wait, in good order."""
        self.closing = True
        self._wake_all()

    async def run(self) -> None:
        """Hear the broker and give pulses, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(self._give_pulses())
            group.create_task(self.wide.run())

    async def _listen(self) -> None:
        subscription = await self._subscribed()
        self._begin_to_hear()
        try:
            await asyncio.Event().wait()
        finally:
            with suppress(BrokerUnavailable, TimeoutError):
                async with asyncio.timeout(_FAREWELL.total_seconds()):
                    await subscription.cancel()

    def _begin_to_hear(self) -> None:
        """Nobody here was told what was sent until now, by any sender: no number shows that it is missing."""
        self._hearing.set()
        self.wide.miss()
        self.behind.update(topic for topic in self.topics.values() if topic.seq)
        self.on_behind()

    async def _subscribed(self) -> Subscription:
        """The consumer of our mailbox. A broker that is down at the start is awaited, and so is its topology: what this
        gateway accepts and shows meanwhile needs neither."""
        told = ""
        while True:
            try:
                await self._broker.declare(self._mailbox)
                return await self._broker.consume(self._mailbox.queues[0].name, self._arrived, credit=_CREDIT)
            except (BrokerUnavailable, ConfigurationError) as error:
                if told != (told := str(error)):
                    _log.warning("live events cannot be heard yet, watchers are served from the store: %s", error)
            await self._clock.sleep(_RETRY)

    def _arrived(self, delivery: Delivery) -> None:
        delivery.ack()
        ahead = self._senders.ahead(delivery.message_id)
        wide = bool(self.wide.watchers)
        if ahead > 0:
            self.wide.miss()
        if not (self.topics or wide):
            return
        try:
            events: list[Json] = codec.loads(delivery.body)["data"]["events"]
            for event in events:
                self._publish(event)
            if wide and ahead >= 0:
                self.wide.offer(events)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            self.wide.miss()
            _log.warning("a live message cannot be read, watchers go on from the store: %s", error)

    def _publish(self, event: Json) -> None:
        topic = self.topics.get(event["task_id"])
        if topic is None:
            return
        news = frame(event["seq"], event["type"], codec.dumps(event))
        if not self.push(topic, news, lambda: datetime.fromisoformat(event["time"])):
            self.fell_behind(topic)

    async def _give_pulses(self) -> None:
        while True:
            await self._clock.sleep(_PULSE)
            self.pulse += 1
            self._wake_all()

    def _wake_all(self) -> None:
        for attendant in self.attendants:
            attendant.wake()
        for topic in self.topics.values():
            topic.wake()


class Watch:
    """Has a watcher admitted for the length of a block. Ten thousand of these cost less than as many generators."""

    __slots__ = ("_feed", "_kind", "_task_id", "_watcher")

    def __init__(self, feed: Feed, task_id: TaskId, kind: type[Watcher]) -> None:
        self._feed = feed
        self._task_id = task_id
        self._kind = kind

    def __enter__(self) -> Watcher:
        self._watcher = self._feed.admit(self._kind(self._feed.topic(self._task_id)))
        return self._watcher

    def __exit__(self, *_: object) -> None:
        self._feed.release(self._watcher)
