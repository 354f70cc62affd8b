"""The intake: tasks that are published straight to the broker, in any language, with no SDK (broker contract, v1)."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from backhaul.core.batching import Batcher
from backhaul.core.clock import Clock
from backhaul.core.errors import BrokerUnavailable, Rejected, StoreUnavailable
from backhaul.core.messages import topology
from backhaul.core.messages.announcements import reply_messages
from backhaul.core.messages.relay import Relay
from backhaul.core.messages.replies import noted
from backhaul.core.messages.telling import tell
from backhaul.core.ports.broker import Broker, Delivery, Message
from backhaul.core.ports.store import Admission, Store
from backhaul.core.rendering import task_json
from backhaul.core.task.acceptance import Acceptance, Origin, valid_traceparent
from backhaul.core.task.record import Draft, evolve
from backhaul.core.tracing import UNTRACED, Side, Tracer
from backhaul.ledger.deadletters import dead_letter
from backhaul.ledger.reading import read_submission
from backhaul_contracts.envelope import CLOUDEVENT
from backhaul_contracts.ids import new_id
from backhaul_contracts.messages import AcceptedReply, RejectedReply
from backhaul_contracts.problems import Problem, ProblemCode
from backhaul_contracts.wire import Json, format_time

_log = logging.getLogger("backhaul.intake")

T = TypeVar("T")

_CREDIT = 200
_RETRY = timedelta(seconds=1)
_ACCEPTED = AcceptedReply.model_fields["type"].default
_REJECTED = RejectedReply.model_fields["type"].default


class Intake:
    """Reads `backhaul.submit`. What cannot be accepted is kept in `backhaul.invalid` with its reason.

    An outage of store or broker is waited out with the message in hand: what goes back to its queue too often is given
    up by the broker, however good it is.
    """

    def __init__(
        self,
        store: Store,
        broker: Broker,
        relay: Relay,
        acceptance: Acceptance,
        clock: Clock,
        *,
        max_body: int,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self._store = store
        self._broker = broker
        self._relay = relay
        self._acceptance = acceptance
        self._clock = clock
        self._max_body = max_body
        self._tracer = tracer
        self._batcher: Batcher[Draft, Admission] = Batcher(self._accept, limit=_CREDIT)
        self._stalled = False
        self.set_aside: Counter[str] = Counter()
        """How many submissions went to the dead letters, by reason."""

    async def run(self) -> None:
        subscription = await self._broker.subscribe(topology.SUBMIT, self._handle, credit=_CREDIT)
        try:
            await self._batcher.run()
        finally:
            await subscription.cancel()

    async def _handle(self, delivery: Delivery) -> None:
        try:
            body, origin = read_submission(delivery, self._max_body)
            admission = await self._traced(body, origin)
        except Rejected as refusal:
            problem = refusal.problem
            await self._persist(lambda: self._set_aside(delivery, problem))
            await self._persist(lambda: self._reply(delivery, _REJECTED, problem.model_dump_json()))
        else:
            await self._answer(delivery, origin, admission)

    async def _answer(self, delivery: Delivery, origin: Origin, admission: Admission) -> None:
        """That it is accepted; and how it ended, if it is done already. A worker sees that in the first answer."""
        if admission.stale:
            _log.info(
                "a submission to %s gets no answer: the attempt that sent it is over, or has to ask again when the "
                "task is cancelled that it calls for",
                delivery.routing_key,
            )
            return
        snapshot = admission.snapshot
        await self._persist(lambda: self._reply(delivery, _ACCEPTED, task_json(snapshot), snapshot.record.id))
        if snapshot.record.status.done and origin.reply is not None and origin.caller is None:
            told = replace(snapshot, record=evolve(snapshot.record, replies=noted(None, origin.reply)))
            await self._persist(lambda: tell(self._broker, list(reply_messages(told))))

    async def _traced(self, body: Json, origin: Origin) -> Admission:
        with self._tracer.span("take in", Side.CONSUMER, valid_traceparent(origin.traceparent)) as span:
            return await self._admit(body, replace(origin, traceparent=span.traceparent))

    async def _admit(self, body: Json, origin: Origin) -> Admission:
        draft = await self._persist(lambda: self._acceptance.draft(body, origin))
        admission = await self._persist(lambda: self._batcher.submit(draft))
        _refuse_conflict(draft, admission)
        return admission

    async def _persist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call it until store and broker have done their part."""
        while True:
            try:
                result = await call()
            except (StoreUnavailable, BrokerUnavailable) as error:
                if not self._stalled:
                    _log.warning("submissions wait for an outage to end: %s", error)
                self._stalled = True
                await self._clock.sleep(_RETRY)
            else:
                self._stalled = False
                return result

    async def _reply(self, delivery: Delivery, type: str, data: str, subject: str | None = None) -> None:
        """Tell a publisher that wants to know. It may be gone by now, and its queue with it: that is its own affair."""
        if not delivery.reply_to or not topology.answerable(delivery.reply_to):
            return
        message_id = new_id("msg")
        named = "" if subject is None else f'"subject":"{subject}",'
        body = (
            f'{{"specversion":"1.0","id":"{message_id}","source":"/backhaul/ledger","type":"{type}",{named}'
            f'"time":"{format_time(self._clock.now())}","datacontenttype":"application/json","data":{data}}}'
        )
        message = Message(
            exchange="",
            routing_key=delivery.reply_to,
            body=body.encode(),
            content_type=CLOUDEVENT,
            message_id=message_id,
            correlation_id=delivery.correlation_id,
            mandatory=False,
        )
        await tell(self._broker, [message])

    async def _accept(self, drafts: list[Draft]) -> Sequence[Admission]:
        admissions, dispatch = await self._store.accept(drafts)
        self._relay.hand_over(dispatch)
        return admissions

    async def _set_aside(self, delivery: Delivery, problem: Problem) -> None:
        told = problem.detail or problem.title
        pointed = "; ".join(f"{fault.pointer}: {fault.detail}" for fault in problem.errors if fault.detail != told)
        detail = f"{told} {pointed}".strip()
        await dead_letter(self._broker, topology.INVALID, delivery, problem.code, detail, self._clock.now())
        self.set_aside[problem.code] += 1


def _refuse_conflict(draft: Draft, admission: Admission) -> None:
    if admission.conflict:
        holder = admission.snapshot.record.id
        raise Rejected(
            ProblemCode.IDEMPOTENCY_KEY_REUSED,
            f"The id {draft.record.key!r} belongs to task {holder}, of another kind or input.",
        )
