"""The intake: tasks that are published straight to the broker, in any language, with no SDK (broker contract, v1)."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import ValidationError

from backhaul.core import topology
from backhaul.core.acceptance import Acceptance, Origin, faults
from backhaul.core.batching import Batcher
from backhaul.core.catalogue import decode
from backhaul.core.clock import Clock
from backhaul.core.errors import BrokerUnavailable, Rejected, StoreUnavailable
from backhaul.core.ports.broker import Broker, Delivery, Message
from backhaul.core.ports.store import Admission, Store
from backhaul.core.record import Draft
from backhaul.core.relay import Relay
from backhaul.core.rendering import task_json
from backhaul.ledger.deadletters import dead_letter
from backhaul_contracts.envelope import CLOUDEVENT, CloudEvent
from backhaul_contracts.ids import new_id
from backhaul_contracts.messages import AcceptedReply, RejectedReply, Submitted
from backhaul_contracts.problems import Problem, ProblemCode
from backhaul_contracts.wire import Json

_log = logging.getLogger("backhaul.intake")

T = TypeVar("T")

_CREDIT = 200
_RETRY = timedelta(seconds=1)
_SUBMIT = Submitted.model_fields["type"].default
_ACCEPTED = AcceptedReply.model_fields["type"].default
_REJECTED = RejectedReply.model_fields["type"].default


class Intake:
    """Reads `backhaul.submit`. What cannot be accepted is kept in `backhaul.invalid` with its reason.

    An outage of store or broker is waited out with the message in hand: what goes back to its queue too often is given
    up by the broker, however good it is.
    """

    def __init__(self, store: Store, broker: Broker, relay: Relay, acceptance: Acceptance, clock: Clock) -> None:
        self._store = store
        self._broker = broker
        self._relay = relay
        self._acceptance = acceptance
        self._clock = clock
        self._batcher: Batcher[Draft, Admission] = Batcher(self._accept, limit=_CREDIT)
        self._stalled = False

    async def run(self) -> None:
        subscription = await self._broker.subscribe(topology.SUBMIT, self._handle, credit=_CREDIT)
        try:
            await self._batcher.run()
        finally:
            await subscription.cancel()

    async def _handle(self, delivery: Delivery) -> None:
        try:
            admission = await self._admit(*_read(delivery))
        except Rejected as refusal:
            problem = refusal.problem
            await self._persist(lambda: self._set_aside(delivery, problem))
            await self._persist(lambda: self._reply(delivery, _REJECTED, problem.model_dump_json()))
        else:
            await self._persist(lambda: self._reply(delivery, _ACCEPTED, task_json(admission.snapshot)))

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

    async def _reply(self, delivery: Delivery, type: str, data: str) -> None:
        """Tell a publisher that wants to know. It may be gone by now, and its queue with it: that is its own affair."""
        if not delivery.reply_to:
            return
        body = (
            f'{{"specversion":"1.0","id":"{new_id("msg")}","source":"/backhaul/ledger","type":"{type}",'
            f'"datacontenttype":"application/json","data":{data}}}'
        )
        await self._broker.publish(
            [
                Message(
                    exchange="",
                    routing_key=delivery.reply_to,
                    body=body.encode(),
                    content_type=CLOUDEVENT,
                    correlation_id=delivery.correlation_id,
                    mandatory=False,
                )
            ]
        )

    async def _accept(self, drafts: list[Draft]) -> Sequence[Admission]:
        admissions, dispatch = await self._store.accept(drafts)
        self._relay.hand_over(dispatch)
        return admissions

    async def _set_aside(self, delivery: Delivery, problem: Problem) -> None:
        pointed = "; ".join(f"{fault.pointer}: {fault.detail}" for fault in problem.errors)
        detail = f"{problem.detail or problem.title} {pointed}".strip()
        await dead_letter(self._broker, topology.INVALID, delivery, problem.code, detail, self._clock.now())


def _refuse_conflict(draft: Draft, admission: Admission) -> None:
    if admission.conflict:
        holder = admission.snapshot.record.id
        raise Rejected(
            ProblemCode.IDEMPOTENCY_KEY_REUSED,
            f"The id {draft.record.key!r} belongs to task {holder}, of another kind or input.",
        )


def _read(delivery: Delivery) -> tuple[Json, Origin]:
    """The body of a submission, and what its transport says. Raises `Rejected`."""
    media = (delivery.content_type or "application/json").partition(";")[0].strip().lower()
    if media == CLOUDEVENT:
        return _full(delivery)
    if media == "application/json":
        return _plain(delivery)
    raise Rejected(
        ProblemCode.UNSUPPORTED_MEDIA_TYPE,
        f"The content type {media!r} is not one of application/json (the input itself) and {CLOUDEVENT}.",
    )


def _plain(delivery: Delivery) -> tuple[Json, Origin]:
    if not delivery.message_id:
        raise Rejected(
            ProblemCode.INVALID_INPUT,
            "The message has no message_id. It is the idempotency key: with it, a repeat makes no second task.",
        )
    body = {"kind": delivery.routing_key, "input": decode(delivery.body), **_properties(delivery)}
    return body, Origin(key=delivery.message_id, traceparent=_traceparent(delivery))


def _full(delivery: Delivery) -> tuple[Json, Origin]:
    raw = decode(delivery.body)
    try:
        event = CloudEvent.model_validate(raw)
    except ValidationError as error:
        raise Rejected(ProblemCode.INVALID_INPUT, "This is not a CloudEvent.", errors=faults(error)) from error
    if event.type != _SUBMIT or not event.id or not event.source:
        raise Rejected(ProblemCode.INVALID_INPUT, f"The CloudEvent needs an id, a source, and the type {_SUBMIT}.")
    if not isinstance(event.data, dict):
        raise Rejected(ProblemCode.INVALID_INPUT, "The CloudEvent's data must be the body of a submission.")
    body = {**_properties(delivery), **event.data}
    traceparent = event.traceparent or _traceparent(delivery)
    return body, Origin(key=f"{event.source}#{event.id}", traceparent=traceparent)


def _properties(delivery: Delivery) -> dict[str, Any]:
    """What AMQP itself can say of a task: priority and time to live."""
    said: dict[str, Any] = {}
    if delivery.priority:
        said["priority"] = delivery.priority
    if delivery.expiration is not None:
        said["expires_in"] = delivery.expiration.total_seconds()
    return said


def _traceparent(delivery: Delivery) -> str | None:
    value = delivery.headers.get("traceparent")
    return value if isinstance(value, str) else None
