"""Beats: one sign of life for all that a worker holds, whatever its handlers do."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

from backhaul.core.complaints import Complaints
from backhaul.core.errors import BrokerUnavailable
from backhaul.core.messages import topology
from backhaul.core.ports.broker import Broker, Message
from backhaul.worker.timers import Timers
from backhaul_contracts.beats import Beat, BeatAnswer
from backhaul_contracts.envelope import CLOUDEVENT_BATCH
from backhaul_contracts.messages import Beaten, write_batch

_log = logging.getLogger("backhaul.worker")

_REMEMBERED = 100
_BEATING, _ANNOUNCING = "the publishing of beats", "the announcement"


class Beats:
    """Beats every `heartbeat`, and at once when asked to.

    `describe` makes the beat of a number, with the announcement or without. `known` is set once the ledger has answered
    that it knows the worker's kinds: from then on their queues exist.
    """

    def __init__(
        self,
        broker: Broker,
        timers: Timers,
        heartbeat: timedelta,
        describe: Callable[[int, bool], Beat],
    ) -> None:
        self._broker = broker
        self._timers = timers
        self._heartbeat = heartbeat
        self._describe = describe
        self._due = asyncio.Event()
        self._announce = True
        self._announced: set[int] = set()
        self._gone = False
        self._sent_at: dict[int, float] = {}
        self._complaints = Complaints(_log, logging.WARNING)
        self.number = 0
        """Of the last beat that was sent."""
        self.known = asyncio.Event()
        self.secured_from: float | None = None
        """When the newest beat was sent that has been answered: the lease counts from there."""
        self.lease: timedelta | None = None

    def beat_now(self) -> None:
        """Do not wait for the next heartbeat."""
        self._due.set()

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            self._due.clear()
            timer = self._timers.after(self._heartbeat, self._due.set)
            await self._beat()
            await self._due.wait()
            self._timers.cancel(timer)

    async def farewell(self) -> None:
        """Say, at the very end, that this worker is gone. Returns when the broker has it, or cannot be told."""
        if self.number:
            self._gone = True
            await self._beat()

    def answered(self, answer: BeatAnswer) -> None:
        """What the ledger says of a beat, as far as it concerns the beats themselves."""
        sent_at = self._sent_at.get(answer.number)
        if sent_at is not None and (self.secured_from is None or sent_at >= self.secured_from):
            self.secured_from = sent_at
            self.lease = timedelta(seconds=answer.lease_seconds)
        if answer.known:
            self.known.set()
            self._complaints.settle(_ANNOUNCING)
        elif not answer.refused:
            self._announce_again(answer.number)

    def _announce_again(self, number: int) -> None:
        """The ledger wants the announcement; if it has just had it, it does not like it, and there is no hurry."""
        if number in self._announced:
            self._complaints.say(
                _ANNOUNCING, "the ledger does not accept the announcement of these kinds: look into its log"
            )
        else:
            self._due.set()
        self._announce = True

    async def _beat(self) -> None:
        self.number += 1
        announce, self._announce = self._announce, False
        beat = self._describe(self.number, announce)
        if self._gone:
            beat = beat.model_copy(update={"state": "gone"})
        self._remember(announce=announce)
        try:
            await self._broker.publish([self._message(beat)])
        except BrokerUnavailable as error:
            self._announce |= announce
            self._complaints.begin(_BEATING, f"beats are not published, work goes on: {error}")
        else:
            self._complaints.settle(_BEATING)

    def _remember(self, *, announce: bool) -> None:
        self._sent_at[self.number] = self._timers.now()
        if announce:
            self._announced.add(self.number)
        forgotten = self.number - _REMEMBERED
        self._sent_at.pop(forgotten, None)
        self._announced.discard(forgotten)

    def _message(self, beat: Beat) -> Message:
        """A sign of life that is read much later is none; a farewell is for good."""
        return Message(
            exchange=topology.BEATS,
            routing_key=topology.BEATS,
            body=write_batch(f"/backhaul/workers/{beat.worker_id}", Beaten, [beat]),
            content_type=CLOUDEVENT_BATCH,
            reply_to=beat.worker_id,
            expiration=None if self._gone else 2 * self._heartbeat,
            persistent=self._gone,
        )
