"""`Prefer: wait`: holding an answer back until there is something to tell."""

from collections.abc import Callable
from datetime import timedelta

from backhaul.core.clock import Clock
from backhaul.core.task.record import Snapshot
from backhaul.gateway.http.request import Disconnected, Request
from backhaul.gateway.lookup import Lookup
from backhaul.gateway.patience import first_of
from backhaul.gateway.push.feed import Feed
from backhaul.gateway.push.topic import Topic, Watcher
from backhaul_contracts.ids import TaskId


class Waiter(Watcher):
    """One who waits for an answer."""

    __slots__ = ()

    transport = "long_poll"


class Waiting:
    """Waits like a stream does: on the feed, without asking the store again and again."""

    def __init__(self, feed: Feed, lookup: Lookup, clock: Clock) -> None:
        self._feed = feed
        self._lookup = lookup
        self._clock = clock

    async def for_end(self, request: Request, tenant: str, task_id: str, length: timedelta) -> Snapshot:
        """The task when it is done, or as it is after `length`."""
        return await self._until(
            request, tenant, task_id, length, lambda snapshot: snapshot.record.status.done, lambda topic: topic.ended
        )

    async def for_change(
        self, request: Request, tenant: str, task_id: str, length: timedelta, changed: Callable[[Snapshot], bool]
    ) -> Snapshot:
        """The task as soon as it is `changed`, or as it is after `length`."""
        return await self._until(request, tenant, task_id, length, changed, lambda _: True)

    async def _until(
        self,
        request: Request,
        tenant: str,
        task_id: str,
        length: timedelta,
        met: Callable[[Snapshot], bool],
        telling: Callable[[Topic], bool],
    ) -> Snapshot:
        with self._feed.watch(TaskId(task_id), Waiter) as watcher:
            snapshot = await self._lookup.task(tenant, task_id)
            record = snapshot.record
            self._feed.learn(watcher, record.seq, ended=record.status.done)
            if met(snapshot):
                return snapshot
            await first_of(self._clock.sleep(length), _leaving(request), self._news(watcher, record.seq, telling))
        request.identity.check()  # its key may have been revoked meanwhile
        return await self._lookup.task(tenant, task_id)

    async def _news(self, watcher: Watcher, seq: int, telling: Callable[[Topic], bool]) -> None:
        topic = watcher.topic
        while not (self._feed.closing or topic.vanished or (topic.seq > seq and telling(topic))):
            await watcher.woken()


async def _leaving(request: Request) -> None:
    await request.disconnected()
    raise Disconnected
