"""Claims: tokens in, grants out. *No claim, no run.*"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta

from backhaul.core.complaints import Complaints
from backhaul.core.errors import BrokerUnavailable
from backhaul.core.messages import topology
from backhaul.core.ports.broker import Broker, Message
from backhaul.worker.claiming.offers import Offer, Offers
from backhaul.worker.claiming.open_claim import OpenClaim
from backhaul.worker.claiming.slots import Slots
from backhaul.worker.claiming.token import Token, TokenStream
from backhaul.worker.patience import Patience
from backhaul.worker.reporting.reporter import Reporter
from backhaul.worker.timers import Timers
from backhaul_contracts.claims import Claim, ClaimAnswer, Grant, Verdict
from backhaul_contracts.envelope import CLOUDEVENT_BATCH
from backhaul_contracts.ids import new_id
from backhaul_contracts.messages import Claimed, write_batch

_log = logging.getLogger("backhaul.worker")

_CLAIMING = "the publishing of claims"

PATIENCE = timedelta(seconds=2)


class Claims:
    """Turns the tokens that wait into claims; those that come while one is being published form the next one.

    `on_grant` starts an attempt, with the token that pays for it, if one does, and the time at which it was asked for.
    `on_answered` is called when slots that were reserved for a claim may be free again.
    """

    def __init__(
        self,
        broker: Broker,
        timers: Timers,
        slots: Slots,
        reporter: Reporter,
        worker_id: str,
        *,
        beat: Callable[[], int],
        on_grant: Callable[[Grant, Token | None, float], None],
        on_answered: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._timers = timers
        self._slots = slots
        self._reporter = reporter
        self._worker_id = worker_id
        self._beat = beat
        self._on_grant = on_grant
        self._on_answered = on_answered
        self._offers = Offers(slots)
        self._streams: list[TokenStream] = []
        self._open: dict[str, OpenClaim] = {}
        self._again: list[str] = []
        self._patience = Patience(timers, PATIENCE, self._ask_again)
        self._closed = False
        self._complaints = Complaints(_log, logging.WARNING)
        self._wake = asyncio.Event()
        self._answered = asyncio.Event()

    @property
    def pending(self) -> list[str]:
        """The ids of claims without an answer."""
        return list(self._open)

    def watch(self, streams: Sequence[TokenStream]) -> None:
        self._streams.extend(streams)

    def wake(self) -> None:
        """There may be something to claim: a token has come, or a slot is free that somebody waits for."""
        self._wake.set()

    def slot_freed(self) -> None:
        if self._offers.owed or any(stream.waiting for stream in self._streams):
            self._wake.set()

    def close(self) -> None:
        """Make no new claims."""
        self._closed = True

    def abandon(self) -> None:
        """Wait for no answer any more: the tokens go back."""
        for claim in self._open.values():
            claim.give_back()

    async def answered(self) -> None:
        """Return when no claim is without an answer."""
        while self._open:
            self._answered.clear()
            await self._answered.wait()

    def reconnected(self) -> None:
        """What was on its way may be lost: ask again."""
        self._again = list(self._open)
        self._wake.set()

    async def run(self) -> None:
        """Claim until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._reporter.roomy()
            await self._publish(self._repeated() + self._made())

    def answer(self, answer: ClaimAnswer) -> None:
        """Start what is granted and drop the tokens beyond. A repeated answer changes nothing: what it grants and is
        not known from the first one is handed back by the next beat."""
        claim = self._open.pop(answer.claim_id, None)
        if claim is None:
            return
        self._patience.forget(answer.claim_id)
        self._slots.unreserve(claim.claim.limit)
        claim.stream.claimed -= claim.claim.limit
        granted = Counter(grant.kind for grant in answer.grants)
        self._offers.settle(claim.stream, claim.offer, granted, paused=answer.verdict is Verdict.PAUSED)
        for grant in answer.grants:
            self._on_grant(grant, claim.tokens.pop() if claim.tokens else None, claim.made_at)
        for token in claim.tokens:
            claim.stream.settle(token)
        if answer.others and not claim.offer.capped:
            claim.stream.rest(self._timers)
        elif answer.grants:
            claim.stream.rested()
        self._answered.set()
        self._on_answered()

    def _repeated(self) -> list[Claim]:
        """Claims that were made before and are still open."""
        again, self._again = dict.fromkeys(self._again), []
        return [
            self._open[claim_id].claim.model_copy(update={"repeat": True})
            for claim_id in again
            if claim_id in self._open
        ]

    def _made(self) -> list[Claim]:
        """New claims for all that waits."""
        if self._closed:
            return []
        claims = [self._for_tokens(stream) for stream in self._streams if stream.waiting]
        claims += [self._for_owed(stream, kind) for stream, kind in list(self._offers.owed)]
        return [claim for claim in claims if claim is not None]

    def _for_tokens(self, stream: TokenStream) -> Claim | None:
        offer = self._offers.make(len(stream.waiting))
        if not offer.counts:
            if self._slots.resuming:  # what keeps every kind at its limit, and may wait for these very slots
                stream.decline()
            return None
        tokens = list(stream.waiting)
        stream.waiting.clear()
        return self._make(stream, tokens, offer)

    def _for_owed(self, stream: TokenStream, kind: str) -> Claim | None:
        offer = self._offers.make_owed(kind)
        if offer is None:
            return None
        self._slots.reserve(offer.limit)
        return self._make(stream, [], offer)

    def _make(self, stream: TokenStream, tokens: list[Token], offer: Offer) -> Claim:
        self._offers.promise(offer)
        stream.claimed += offer.limit
        claim = Claim(
            claim_id=new_id("clm"),
            worker_id=self._worker_id,
            queue=stream.queue,
            limit=offer.limit,
            capacities=self._offers.capacities(offer),
            beat=self._beat(),
        )
        self._open[claim.claim_id] = OpenClaim(claim, stream, tokens, offer, self._timers.now())
        return claim

    async def _publish(self, claims: Sequence[Claim]) -> None:
        if not claims:
            return
        for claim in claims:
            self._patience.expect(claim.claim_id)
        message = Message(
            exchange=topology.CLAIMS,
            routing_key=topology.CLAIMS,
            body=write_batch(f"/backhaul/workers/{self._worker_id}", Claimed, claims),
            content_type=CLOUDEVENT_BATCH,
            reply_to=self._worker_id,
            expiration=2 * PATIENCE,  # repeated by then, if its worker still lives to hear the answer
            persistent=False,
        )
        try:
            await self._broker.publish([message])
        except BrokerUnavailable as error:
            self._complaints.begin(_CLAIMING, f"claims are not published, and will be repeated: {error}")
        else:
            self._complaints.settle(_CLAIMING)

    def _ask_again(self, claim_id: str) -> None:
        self._again.append(claim_id)
        self._wake.set()
