"""A ledger that does what a test tells it: it speaks the wire of the real one, and has no store."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel

from backhaul.core.errors import BrokerUnavailable
from backhaul.core.messages import topology
from backhaul.core.ports.broker import Broker, Delivery, Message, Subscription
from backhaul_contracts.beats import Beat, BeatAnswer, Stop, StopReason
from backhaul_contracts.claims import Claim, ClaimAnswer, Grant, Verdict
from backhaul_contracts.envelope import CLOUDEVENT_BATCH, CloudEvent
from backhaul_contracts.ids import new_id, new_task_id
from backhaul_contracts.messages import (
    BEATS,
    CLAIMS,
    SHARD,
    BeatAnswered,
    ClaimAnswered,
    ReportAnswered,
    Reported,
    StopAsked,
    write_batch,
)
from backhaul_contracts.reports import Recorded, Report, Ruling
from tests.support.deadlines import until

PATIENCE = 10.0

Key = tuple[str, int]
Ruler = Callable[[Report], Recorded | None]


class ScriptedLedger:
    """Grants what was offered, in order; records reports whose number is the next one. Either can be silenced."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.beats: list[Beat] = []
        self.claims: list[Claim] = []
        self.reports: dict[Key, list[Report]] = defaultdict(list)
        """What was recorded, by task and attempt."""
        self.heard: list[Report] = []
        """Every report that came, repeats included."""
        self.batches: list[list[Report]] = []
        self.silent_on_beats = False
        self.silent_on_claims = False
        self.silent_on_reports = False
        self.others = False
        """Say that tasks wait for other workers."""
        self.garble = False
        """Put something in front of what it says that nobody can read."""
        self.known = True
        self.lease = 20.0
        self.rule: Ruler = self.record
        self.stops: list[Stop] = []
        """Repeated in every answer to a beat."""
        self.drain = False
        self.ears: dict[str, Subscription] = {}
        """What it hears by, for each queue."""
        self.calls_done: list[str] = []
        """Said in every answer to a beat, as far as the beat asks for them."""
        self._offers: dict[str, deque[Grant]] = defaultdict(deque)
        self._grants: dict[str, list[Grant]] = {}
        self._inbox: asyncio.Queue[Delivery] = asyncio.Queue()

    async def run(self) -> None:
        await self.broker.declare(topology.platform(1))
        for queue in (topology.BEATS, topology.CLAIMS, topology.ledger_queue(0)):
            self.ears[queue] = await self.broker.consume(queue, self._inbox.put_nowait, credit=1000)
        hear = {topology.BEATS: self._hear_beats, topology.CLAIMS: self._hear_claims}
        while True:
            delivery = await self._inbox.get()
            await hear.get(delivery.routing_key, self._hear_reports)(delivery)
            delivery.ack()

    async def offer(
        self, kind: str, input: Any = None, *, queue: str = "test", token: bool = True, **more: Any
    ) -> Grant:
        """Have a task of `kind` granted to the next claim on `queue` that can start it."""
        grant = Grant(
            task_id=more.pop("task_id", None) or new_task_id(),
            kind=kind,
            version=more.pop("version", "1"),
            tenant="default",
            attempt=more.pop("attempt", 1),
            max_attempts=3,
            token=new_id("tok"),
            input=input,
            timeout=more.pop("timeout", timedelta(minutes=10)),
            started_at=datetime.now(UTC),
            **more,
        )
        self._offers[queue].append(grant)
        if token:
            await self.issue(queue)
        return grant

    async def offer_again(self, grant: Grant, *, queue: str = "test") -> None:
        """Grant an attempt to the next claim, too, which no ledger should."""
        self._offers[queue].append(grant)
        await self.issue(queue)

    async def issue(self, queue: str = "test", count: int = 1) -> None:
        """Put tokens into a queue."""
        message = Message(exchange=topology.TASKS, routing_key=queue, body=b"{}", content_type="application/json")
        await self.broker.publish([message] * count)

    async def issue_surely(self, queue: str = "test", count: int = 1) -> None:
        """Put tokens into a queue, over a broker that may fail."""
        with suppress(BrokerUnavailable):
            await self.issue(queue, count)

    async def stop(self, grant: Grant, reason: StopReason = StopReason.CANCELLED, *, worker_id: str) -> None:
        """Ask for a stop at once."""
        await self._send(topology.CONTROL, worker_id, StopAsked, [_stop(grant, reason)])

    def stop_with_beats(self, grant: Grant, reason: StopReason) -> None:
        """Ask for a stop with the next beat."""
        self.stops.append(_stop(grant, reason))

    def said(self, grant: Grant) -> list[str]:
        """The recorded reports of an attempt, by what they are."""
        return [report.report for report in self.reports[grant.task_id, grant.attempt]]

    async def outcome(self, grant: Grant) -> Any:
        """The outcome of an attempt, when it is recorded."""
        outcomes = ("succeeded", "failed", "stopped", "handed_back")
        reports = self.reports[grant.task_id, grant.attempt]
        await until(lambda: reports and reports[-1].report in outcomes)
        return reports[-1]

    async def answer_claim(self, claim: Claim) -> None:
        """Answer a claim, with the same grants however often."""
        if claim.claim_id not in self._grants:
            self._grants[claim.claim_id] = self._grant(claim)
        grants = self._grants[claim.claim_id]
        verdict = Verdict.GRANTED if grants else Verdict.EMPTY
        answer = ClaimAnswer(
            claim_id=claim.claim_id, worker_id=claim.worker_id, verdict=verdict, others=self.others, grants=grants
        )
        await self._send(topology.REPLIES, claim.worker_id, ClaimAnswered, [answer])

    async def answer_reports(self, worker_id: str, *answers: Recorded) -> None:
        await self._send(topology.REPLIES, worker_id, ReportAnswered, answers)

    async def _hear_beats(self, delivery: Delivery) -> None:
        beats = [message.data for message in BEATS.read(delivery.body)]
        for beat in beats:
            if beat.announcement is not None:
                await self.broker.declare(topology.task_queues(spec.queue for spec in beat.announcement.kinds))
                await self.broker.declare(topology.event_queues(beat.announcement.interests))
            self.beats.append(beat)
            if not self.silent_on_beats:
                await self._send(topology.REPLIES, str(delivery.reply_to), BeatAnswered, [self._beat_answer(beat)])

    def _beat_answer(self, beat: Beat) -> BeatAnswer:
        return BeatAnswer(
            worker_id=beat.worker_id,
            number=beat.number,
            known=self.known,
            lease_seconds=self.lease,
            calls_done=[task_id for task_id in beat.calls if task_id in self.calls_done],
            stop=self.stops,
            drain=self.drain,
        )

    async def _hear_claims(self, delivery: Delivery) -> None:
        for message in CLAIMS.read(delivery.body):
            self.claims.append(message.data)
            if not self.silent_on_claims:
                await self.answer_claim(message.data)

    def _grant(self, claim: Claim) -> list[Grant]:
        left = {capacity.kind: capacity.count for capacity in claim.capacities}
        granted: list[Grant] = []
        for grant in list(self._offers[claim.queue]):
            if len(granted) < claim.limit and left.get(grant.kind, 0) > 0:
                left[grant.kind] -= 1
                granted.append(grant)
                self._offers[claim.queue].remove(grant)
        return granted

    async def _hear_reports(self, delivery: Delivery) -> None:
        batch = [message.data for message in SHARD.read(delivery.body) if isinstance(message, Reported)]
        self.batches.append(batch)
        self.heard.extend(batch)
        if self.silent_on_reports:
            return
        answers = [answer for report in batch if (answer := self.rule(report)) is not None]
        await self._send(topology.REPLIES, str(delivery.reply_to), ReportAnswered, answers)

    def record(self, report: Report) -> Recorded:
        kept = self.reports[report.task_id, report.attempt]
        if report.number == len(kept) + 1:
            kept.append(report)
        ruling = Ruling.RECORDED if report.number <= len(kept) else Ruling.GAP
        return Recorded(task_id=report.task_id, attempt=report.attempt, number=len(kept), ruling=ruling)

    async def _send(self, exchange: str, key: str, type: type[CloudEvent], items: Any) -> None:
        body = write_batch("/backhaul/ledger", type, list[BaseModel](items))
        if self.garble:
            body = b'[{"type":"dev.backhaul.of.tomorrow"},' + body[1:]
        message = Message(
            exchange=exchange,
            routing_key=key,
            body=body,
            content_type=CLOUDEVENT_BATCH,
            persistent=False,
            mandatory=False,
        )
        await self.broker.publish([message])


def _stop(grant: Grant, reason: StopReason) -> Stop:
    return Stop(task_id=grant.task_id, attempt=grant.attempt, reason=reason)
