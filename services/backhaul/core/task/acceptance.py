"""From what a client wrote to a task that may be accepted: every check, the same on each way in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import TypeAdapter, ValidationError

from backhaul.core.apikeys import DEFAULT_TENANT
from backhaul.core.clock import Clock, to_ms
from backhaul.core.errors import Rejected
from backhaul.core.messages.replies import ReplyTo, noted
from backhaul.core.ports.store import Store
from backhaul.core.schema.catalogue import MAX_FAULTS, Catalogue
from backhaul.core.task.fingerprint import fingerprint
from backhaul.core.task.record import Caller, Draft, RawJson, new_record
from backhaul.core.webhooks import WebhookRules
from backhaul_contracts import codec
from backhaul_contracts.ids import TaskId, new_task_id
from backhaul_contracts.kinds import KindSpec
from backhaul_contracts.problems import Fault, ProblemCode
from backhaul_contracts.submissions import SubmitTask
from backhaul_contracts.tasks import Status
from backhaul_contracts.webhooks import TaskWebhook
from backhaul_contracts.wire import Json, Key

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context, level 1, §3.2.2: version ff and ids of nothing but zeros are invalid, and then all of it is."""
_TRACE_ID = slice(3, 35)

_key: TypeAdapter[str] = TypeAdapter(Key)


_OF_NAME = "[key]"
"""Where pydantic says that the name of a member is wrong, not its value."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of a submission beside its body. `key`: the one that the transport carries, if it does.

    A transport may carry anything as key and `traceparent`: the one is checked like a key in the body, and of the other
    what is no trace context is dropped.
    """

    tenant: str = DEFAULT_TENANT
    key: str | None = None
    traceparent: str | None = None
    replay_of: str | None = None
    reply: ReplyTo | None = None
    caller: Caller | None = None


class Acceptance:
    """Checks submissions and makes drafts of them."""

    def __init__(self, catalogue: Catalogue, store: Store, clock: Clock, webhooks: WebhookRules | None = None) -> None:
        """Without rules for webhooks, submissions that want one are refused."""
        self._catalogue = catalogue
        self._store = store
        self._clock = clock
        self._webhooks = webhooks or WebhookRules()

    async def draft(self, body: Json, origin: Origin) -> Draft:
        """The task that `body` (the fields of `POST /v1/tasks`) asks for. Raises `Rejected`, pointing at each fault."""
        wanted = _parse(body)
        key = _one_key(wanted.key, origin.key)
        spec = await self._catalogue.kind(wanted.kind)
        self._catalogue.check(spec, wanted.input)
        if wanted.queue is not None and not await self._catalogue.has_queue(wanted.queue):
            raise _invalid("/queue", f"There is no queue {wanted.queue!r}: no announced kind waits in it.")
        if wanted.parent_id is not None and origin.caller is None:
            await self._check_parent(origin.tenant, wanted.parent_id)
        return _draft(wanted, spec, key, origin, self._clock.now(), self._webhook(wanted.webhook))

    def _webhook(self, webhook: TaskWebhook | None) -> RawJson | None:
        if webhook is None:
            return None
        if fault := self._webhooks.fault(webhook.url):
            raise _invalid("/webhook/url", fault)
        return self._webhooks.kept(webhook)

    async def _check_parent(self, tenant: str, parent_id: str) -> None:
        """Who could name a task of another tenant as parent would hear of its end. Callers prove that it is theirs."""
        if await self._store.snapshot(tenant, TaskId(parent_id)) is None:
            raise _invalid("/parent_id", f"There is no task {parent_id}.")


def valid_traceparent(text: str | None) -> str | None:
    """`text`, if it is a trace context."""
    return text if _TRACEPARENT.fullmatch(text or "") else None


def trace_id(traceparent: str) -> str:
    """The id of the trace that a valid trace context names."""
    return traceparent[_TRACE_ID]


def _parse(body: Json) -> SubmitTask:
    if not isinstance(body, Mapping):
        raise _invalid("", "The body must be a JSON object.")
    try:
        return SubmitTask.model_validate(body)
    except ValidationError as error:
        raise Rejected(ProblemCode.INVALID_INPUT, "The submission is not valid.", errors=faults(error)) from error


def faults(error: ValidationError) -> list[Fault]:
    """What pydantic found, as pointers into the body; no more than a reader can use."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        Fault(pointer=_pointer(item["loc"]), detail=item["msg"].removeprefix("Value error, "))
        for item in found[:MAX_FAULTS]
    ]


def _pointer(steps: tuple[str | int, ...]) -> str:
    if len(steps) > 2 and steps[-1] == _OF_NAME:
        steps = steps[:-1]
    return "".join(f"/{_escape(step)}" for step in steps)


def _escape(step: str | int) -> str:
    return str(step).replace("~", "~0").replace("/", "~1")


def _one_key(in_body: str | None, in_transport: str | None) -> str | None:
    if in_body is not None and in_transport is not None and in_body != in_transport:
        raise _invalid("/key", f"The body's key {in_body!r} differs from the one it was sent with, {in_transport!r}.")
    return in_body if in_body is not None or in_transport is None else _checked(in_transport)


def _checked(key: str) -> str:
    try:
        return _key.validate_python(key)
    except ValidationError as error:
        raise _invalid("/key", f"What it was sent with cannot be a key: {faults(error)[0].detail}.") from error


def _draft(
    wanted: SubmitTask, spec: KindSpec, key: str | None, origin: Origin, now: datetime, webhook: RawJson | None
) -> Draft:
    starts = _starts(wanted, now)
    record = new_record(
        id=new_task_id(to_ms(now)),
        tenant=origin.tenant,
        kind=spec.kind,
        version=spec.version,
        queue=wanted.queue or spec.queue,
        status=Status.QUEUED if starts is None else Status.SCHEDULED,
        priority=wanted.priority,
        key=key,
        metadata=RawJson(codec.dumps(wanted.metadata).decode()),
        parent_id=wanted.parent_id,
        replay_of=origin.replay_of,
        traceparent=valid_traceparent(origin.traceparent),
        webhook=webhook,
        timeout=wanted.timeout or spec.timeout,
        grace=spec.grace,
        max_attempts=wanted.max_attempts or spec.retry.max_attempts,
        retry_base=spec.retry.base,
        retry_cap=spec.retry.cap,
        created_at=now,
        scheduled_for=starts,
        not_before=starts,
        expires_at=_expiry(wanted, starts, now),
        replies=None if origin.reply is None else noted(None, origin.reply),
        called_in=0 if origin.caller is None else origin.caller.attempt,
    )
    return Draft(
        record,
        _payload(wanted.input),
        None if key is None else fingerprint(spec.kind, wanted.input),
        origin.caller,
    )


def _payload(input: Json) -> RawJson:
    try:
        return RawJson(codec.payload(input).decode())
    except ValueError as error:
        raise _invalid("/input", str(error)) from error


def _starts(wanted: SubmitTask, now: datetime) -> datetime | None:
    if wanted.delay:
        return now + wanted.delay
    if wanted.run_at is not None and wanted.run_at > now:
        return wanted.run_at
    return None


def _expiry(wanted: SubmitTask, starts: datetime | None, now: datetime) -> datetime | None:
    if wanted.expires_in is None:
        return None
    expires = now + wanted.expires_in
    if wanted.expires_in <= timedelta(0) or (starts is not None and expires <= starts):
        raise _invalid("/expires_in", "The task would expire before it may start: make expires_in longer.")
    return expires


def _invalid(pointer: str, detail: str) -> Rejected:
    return Rejected(ProblemCode.INVALID_INPUT, detail, errors=[Fault(pointer=pointer, detail=detail)])
