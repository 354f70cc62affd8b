"""Submitting: `POST /v1/tasks`, its batch, and a replay. No answer says 202 before the task is durable."""

import asyncio
import logging
from datetime import timedelta

from starlette.types import ASGIApp

from backhaul.core.errors import ConfigurationError, Rejected, StoreUnavailable
from backhaul.core.ports.store import Admission
from backhaul.core.task.acceptance import Origin
from backhaul.core.task.record import Draft, Record, Snapshot
from backhaul.gateway.access.identity import Identity
from backhaul.gateway.access.trail import note
from backhaul.gateway.api.events import Events
from backhaul.gateway.gateway import Gateway
from backhaul.gateway.http.conditions import EVENT_STREAM, JSON, choose, preferred_wait
from backhaul.gateway.http.headers import REPLAYED, accepted, applied_wait
from backhaul.gateway.http.problems import problem_json
from backhaul.gateway.http.queries import invalid, no_parameters
from backhaul.gateway.http.replies import Header, Reply
from backhaul.gateway.http.request import Request, parsed, tenant_of
from backhaul.gateway.patience import answered
from backhaul_contracts import codec
from backhaul_contracts.problems import Fault, Problem, ProblemCode
from backhaul_contracts.submissions import ReplayTask, SubmitBatch
from backhaul_contracts.tasks import Task
from backhaul_contracts.wire import Json, Wire

_log = logging.getLogger("backhaul.gateway")

_LONGEST_KEY = 255
_AT_A_TIME = 10


class BatchError(Wire):
    """Why one task of a batch was refused; `index` counts from 0."""

    index: int
    error: Problem


class BatchAnswer(Wire):
    """The tasks that were accepted, in order, and the others by their index."""

    tasks: list[Task]
    errors: list[BatchError]


class Submissions:
    """The endpoints that make tasks."""

    def __init__(self, gateway: Gateway, events: Events) -> None:
        self._gateway = gateway
        self._events = events

    async def submit(self, request: Request) -> ASGIApp:
        no_parameters(request)
        body = await request.json()
        self._check_stream(request)
        admission = await answered(self.admit(body, _origin(request)))
        note("submit", request.identity, admission.snapshot.record.id)
        return await self._answer(request, admission)

    async def replay(self, request: Request) -> ASGIApp:
        no_parameters(request)
        wanted = parsed(ReplayTask, await request.optional_json())
        original = await self._gateway.lookup.task(tenant_of(request), request.path("task_id"))
        body = await answered(self._once_more(original, wanted))
        self._check_stream(request)
        admission = await answered(self.admit(body, _origin(request, replay_of=original.record.id)))
        note("replay", request.identity, admission.snapshot.record.id)
        return await self._answer(request, admission)

    async def submit_batch(self, request: Request) -> ASGIApp:
        no_parameters(request)
        batch = parsed(SubmitBatch, await request.json())
        origin = _origin(request)
        if origin.key is not None:
            raise invalid("Idempotency-Key", "A batch has no key of its own: give each task its `key`.")
        reply = await self._admit_batch(batch.tasks, origin, request.identity)
        note("submit_batch", request.identity)
        return reply

    async def admit(self, body: Json, origin: Origin) -> Admission:
        """Make what a client wrote a task, on whatever transport it came. Raises `Rejected`."""
        draft = await self._draft(body, origin)
        admission = await self._gateway.admit(draft)
        if admission.conflict:
            raise _key_reused(admission)
        return admission

    def _check_stream(self, request: Request) -> None:
        """Refuse a stream that would be too many before the task is made, not after."""
        if _wants_stream(request):
            self._gateway.limits.check_stream(request.identity)

    async def _draft(self, body: Json, origin: Origin) -> Draft:
        draft = await self._gateway.acceptance.draft(body, origin)
        await self._gateway.backlog.take_place(draft.record.queue)
        return draft

    async def _answer(self, request: Request, admission: Admission) -> ASGIApp:
        replayed = [REPLAYED] if admission.replayed else []
        if _wants_stream(request):
            return self._streamed(request, admission.snapshot, replayed)
        wait = preferred_wait(request.header(b"prefer"))
        snapshot = admission.snapshot
        if wait is not None:
            awaited = await self._ended(request, snapshot.record, wait)
            snapshot, wait = (snapshot, None) if awaited is None else (awaited, wait)
        record = snapshot.record
        headers = [*accepted(record, self._gateway.clock.now()), *replayed, *applied_wait(wait)]
        shown = self._gateway.shown(snapshot, request.identity)
        return Reply(200 if record.status.done else 202, shown.encode(), headers)

    async def _ended(self, request: Request, record: Record, wait: timedelta) -> Snapshot | None:
        """The task when it is done or the time is over. None if the store is gone by then: the task is accepted all the
        same, and without its id the client could only submit it once more."""
        try:
            return await self._gateway.waiting.for_end(request, record.tenant, record.id, wait)
        except StoreUnavailable:
            return None

    def _streamed(self, request: Request, snapshot: Snapshot, headers: list[Header]) -> ASGIApp:
        record = snapshot.record
        headers = [*accepted(record, self._gateway.clock.now()), *headers]
        return self._events.stream(request, record.tenant, record.id, 0, headers, known=snapshot)

    async def _once_more(self, original: Snapshot, wanted: ReplayTask) -> Json:
        record = original.record
        given = "input" in wanted.model_fields_set
        body = {
            "kind": record.kind,
            "input": wanted.input if given else codec.loads(original.input),
            "priority": record.priority,
            "timeout": record.timeout,
            "max_attempts": record.max_attempts,
            "metadata": codec.loads(record.metadata),
            "webhook": self._webhook(record),
        }
        if await self._gateway.catalogue.has_queue(record.queue):
            body["queue"] = record.queue
        return body

    def _webhook(self, record: Record) -> Json:
        try:
            return self._gateway.webhooks.opened(record.webhook)
        except ConfigurationError as error:
            _log.error("the webhook of %s cannot be replayed: %s", record.id, error)
            detail = "The secret of its webhook was encrypted under a key that this gateway has not: submit it anew."
            fault = Fault(pointer="/webhook/secret", detail=detail)
            raise Rejected(ProblemCode.INVALID_INPUT, detail, errors=[fault], task_id=record.id) from error

    async def _admit_batch(self, bodies: list[Json], origin: Origin, identity: Identity) -> Reply:
        drafts, errors = await self._drafts(bodies, origin)
        admissions = await answered(self._gateway.accept(list(drafts.values()))) if drafts else []
        tasks = []
        for index, admission in zip(drafts, admissions, strict=True):
            if admission.conflict:
                errors[index] = _key_reused(admission)
            else:
                tasks.append(self._gateway.shown(admission.snapshot, identity))
        shown = [_error_json(index, errors[index]) for index in sorted(errors)]
        return Reply(202, f'{{"tasks":[{",".join(tasks)}],"errors":[{",".join(shown)}]}}'.encode())

    async def _drafts(self, bodies: list[Json], origin: Origin) -> tuple[dict[int, Draft], dict[int, Rejected]]:
        drafts: dict[int, Draft] = {}
        errors: dict[int, Rejected] = {}
        for index, body in enumerate(bodies):
            if index % _AT_A_TIME == 0:
                await asyncio.sleep(0)  # checking may need nothing of the store: whoever else is served has a turn
            try:
                drafts[index] = await answered(self._draft(body, origin))
            except Rejected as refusal:
                errors[index] = refusal
        return drafts, errors


def _wants_stream(request: Request) -> bool:
    return choose(request.header(b"accept"), (JSON, EVENT_STREAM)) == EVENT_STREAM


def _origin(request: Request, replay_of: str | None = None) -> Origin:
    return Origin(
        tenant=tenant_of(request),
        key=_key(request),
        traceparent=request.traceparent,
        replay_of=replay_of,
    )


def _key(request: Request) -> str | None:
    key = request.header(b"idempotency-key")
    if key is None:
        return None
    try:
        key = key.encode("latin-1").decode()
    except UnicodeDecodeError as error:
        raise invalid("Idempotency-Key", "The key is not UTF-8.") from error
    if not 0 < len(key) <= _LONGEST_KEY:
        raise invalid("Idempotency-Key", f"A key has between 1 and {_LONGEST_KEY} characters.")
    return key


def _key_reused(admission: Admission) -> Rejected:
    earlier = admission.snapshot.record
    return Rejected(
        ProblemCode.IDEMPOTENCY_KEY_REUSED,
        f"The key {earlier.key!r} belongs to task {earlier.id}, which has another kind or input: use a new key.",
        task_id=earlier.id,
    )


def _error_json(index: int, refusal: Rejected) -> str:
    """Pointers start at the request's body, so they lead through the batch."""
    errors = [Fault(pointer=f"/tasks/{index}{fault.pointer}", detail=fault.detail) for fault in refusal.problem.errors]
    problem = refusal.problem.model_copy(update={"errors": errors})
    return f'{{"index":{index},"error":{problem_json(problem).decode()}}}'
