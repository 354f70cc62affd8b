"""The relay: tells the broker what has just been committed, and lets the store forget that it was owed."""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from backhaul.core import pace
from backhaul.core.batching import Backlog, Inbox, portions
from backhaul.core.clock import Clock
from backhaul.core.complaints import Complaints
from backhaul.core.errors import BrokerUnavailable, StoreUnavailable
from backhaul.core.messages.announcements import (
    live_message,
    public_messages,
    reply_messages,
    stop_messages,
    token_message,
)
from backhaul.core.messages.telling import tell
from backhaul.core.metrics import Metric, Reading, Shape
from backhaul.core.pace import Pace
from backhaul.core.ports.broker import Broker, Message
from backhaul.core.ports.dispatch import Dispatch
from backhaul.core.ports.store import Store
from backhaul.core.task.record import Event, Record
from backhaul_contracts.ids import new_id

_log = logging.getLogger("backhaul.relay")

_BATCH = 500
_AT_ONCE = 2_000
_AT_ONCE_BYTES = 8 * 1024 * 1024
"""What is published at once: far less than a broker confirms in the time that a publish may take."""
_LIVE_BYTES = 256 * 1024
_REPLIES = 50
"""Of how many tasks that have ended the payloads are in memory at once."""
_BACKLOG = 50_000
"""How many events wait here at most, as live ones and as durable ones each: some seconds' worth, some 100 MiB."""
_SETTLE_PAUSE = timedelta(milliseconds=100)
_FAREWELL = timedelta(seconds=2)
_DISPATCHING, _TELLING = "the publishing of dispatches", "the publishing of live events"
_SETTLING = "forgetting what was published"


WAITING = Metric(
    "backhaul_relay_waiting",
    Shape.GAUGE,
    "Messages that wait in this process to be published, at most: `live` for watchers, `durable` ones owed.",
    ("path",),
)
METRICS = (*pace.METRICS, WAITING)


class Relay:
    """Publishes dispatches in the order in which they are handed over.

    What it cannot publish stays in the outbox, and a ledger's sweep finds it there: nothing waits here for the broker
    to come back, and nothing is retried here. What is handed over faster than the broker confirms waits here up to a
    bound; what comes then is left to the sweep, too, and watchers read it from the store.
    """

    def __init__(self, store: Store, broker: Broker, clock: Clock) -> None:
        self._store = store
        self._broker = broker
        self._clock = clock
        self._pace = Pace(clock)
        self._live: Backlog[tuple[Event, ...]] = Backlog(_BATCH, weigh=len, most=_BACKLOG)
        self._durable: Backlog[Dispatch] = Backlog(_BATCH, weigh=_messages, most=_BACKLOG)
        self._sender = new_id("live")
        self._number = 0
        self._full = False
        self._settled: Inbox[str] = Inbox(4 * _BATCH)
        self._under_way: list[Dispatch] = []
        self._unsettled: list[str] = []
        self._complaints = Complaints(_log, logging.WARNING)

    def hand_over(self, dispatch: Dispatch) -> None:
        """Take over a dispatch. Returns at once."""
        self._pace.note(dispatch.happenings)
        if dispatch.happenings and not self._live.offer(tuple(each.event for each in dispatch.happenings)):
            self._leave_out()
        if dispatch.outbox_id is not None:
            self._note(full=not self._durable.offer(dispatch))

    def expect(self, kinds: Iterable[str]) -> None:
        """Happenings of these kinds may be handed over."""
        self._pace.expect(kinds)

    def readings(self) -> Iterator[Reading]:
        """What has been handed over, and what of it waits."""
        yield from self._pace.readings()
        yield Reading(WAITING, {("live",): self._live.weight, ("durable",): self._durable.weight})

    def _note(self, *, full: bool) -> None:
        if full and not self._full:
            _log.warning("the broker confirms too slowly: what is committed now stays in the outbox until it is swept")
        self._full = full

    async def run(self) -> None:
        """Publish what is handed over, until cancelled; then, if broker and store are there, what is left of it."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._run_live())
                group.create_task(self._run_durable())
                group.create_task(self._run_settled())
        finally:
            await self._say_the_rest()

    async def publish(self, dispatches: Sequence[Dispatch]) -> None:
        """Publish and settle these now. Raises `BrokerUnavailable` or `StoreUnavailable`; then what is not yet settled
        is owed still."""
        for portion in portions(dispatches, _messages, most=len(dispatches), heaviest=_AT_ONCE):
            await self._publish_durable(portion)
            await self._store.settle([dispatch.outbox_id for dispatch in portion if dispatch.outbox_id])

    async def _run_live(self) -> None:
        while True:
            batches = await self._live.take()
            if not self._broker.connected:
                self._leave_out()
                continue
            events = [event for batch in batches for event in batch]
            try:
                for portion in portions(events, _size, most=_AT_ONCE, heaviest=_LIVE_BYTES):
                    self._number += 1
                    await self._broker.publish([live_message(portion, f"{self._sender}-{self._number}")])
            except BrokerUnavailable as error:
                self._leave_out()
                self._complaints.begin(_TELLING, f"live events are not published, watchers read the store: {error}")
            else:
                self._complaints.settle(_TELLING)

    def _leave_out(self) -> None:
        """Have the next live message show that something is missing in front of it."""
        self._number += 1

    async def _run_durable(self) -> None:
        while True:
            self._under_way = dispatches = await self._durable.take()
            if not self._broker.connected:
                continue
            try:
                await self._publish_durable(dispatches)
            except (BrokerUnavailable, StoreUnavailable) as error:
                self._complaints.begin(_DISPATCHING, f"dispatches stay in the outbox until the next sweep: {error}")
                continue
            self._complaints.settle(_DISPATCHING)
            self._under_way = []
            for dispatch in dispatches:
                self._settled.put(dispatch.outbox_id or "")

    async def _run_settled(self) -> None:
        """Nobody waits for this: many commits' worth of outbox rows go in one transaction, beside the hot path."""
        while True:
            self._unsettled = await self._settled.take()
            await self._clock.sleep(_SETTLE_PAUSE)
            self._unsettled += self._settled.drain()
            try:
                await self._store.settle(self._unsettled)
            except StoreUnavailable as error:
                self._complaints.say(_SETTLING, f"what was published stays owed, and is published once more: {error}")
            else:
                self._complaints.settle(_SETTLING)
            self._unsettled = []

    async def _say_the_rest(self) -> None:
        """At the end of the process. What does not succeed within moments is a sweep's to do."""
        self._under_way += self._durable.drain()
        with suppress(BrokerUnavailable, StoreUnavailable, TimeoutError):
            async with asyncio.timeout(_FAREWELL.total_seconds()):
                if self._under_way and self._broker.connected:
                    await self.publish(self._under_way)
                if outbox_ids := self._unsettled + self._settled.drain():
                    await self._store.settle(outbox_ids)

    async def _publish_durable(self, dispatches: Sequence[Dispatch]) -> None:
        messages = (message for dispatch in dispatches for message in _announced(dispatch))
        for portion in portions(messages, _weight, most=_AT_ONCE, heaviest=_AT_ONCE_BYTES):
            await self._broker.publish(portion)
        await self._reply(dispatches)
        await self._abandon(dispatches)

    async def _reply(self, dispatches: Sequence[Dispatch]) -> None:
        """Tell the publishers of tasks that have ended. What becomes of their queues must hold up nobody else."""
        ended = {record.id: record for record in _answerable(dispatches)}
        for task_ids in portions(ended, lambda _: 1, most=_REPLIES, heaviest=_REPLIES):
            for found in await self._store.snapshots(task_ids):
                snapshot = replace(found, record=ended[found.record.id])
                await tell(self._broker, list(reply_messages(snapshot)))

    async def _abandon(self, dispatches: Sequence[Dispatch]) -> None:
        """Cancel children. What is left of them is another dispatch, so that others get their turn between."""
        children = [some for dispatch in dispatches for some in dispatch.children]
        if children:
            follow_up = await self._store.abandon(children)
            self.hand_over(follow_up)
            await self._broker.publish(stop_messages(follow_up.happenings))


def _announced(dispatch: Dispatch) -> Iterator[Message]:
    yield from map(token_message, dispatch.tokens)
    yield from public_messages(dispatch.happenings)


def _answerable(dispatches: Sequence[Dispatch]) -> Iterator[Record]:
    """Who has just ended and whose publisher waits to hear of it. One that runs anew by now will end again."""
    for dispatch in dispatches:
        for happening in dispatch.happenings:
            record = happening.record
            if record.replies is not None and happening.event.type.terminal and record.status.done:
                yield record


def _messages(dispatch: Dispatch) -> int:
    """At most how many messages it takes."""
    return len(dispatch.tokens) + len(dispatch.happenings)


def _size(event: Event) -> int:
    return len(event.data)


def _weight(message: Message) -> int:
    return len(message.body)
