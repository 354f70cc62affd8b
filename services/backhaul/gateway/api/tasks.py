"""Reading tasks: one, its result, a list; and deleting one."""

from datetime import timedelta

from starlette.types import ASGIApp

from backhaul.core.errors import Rejected
from backhaul.core.rendering import page_json
from backhaul.core.task.record import Record, Snapshot
from backhaul.gateway.gateway import Gateway
from backhaul.gateway.http.conditions import entity_tag, matches, preferred_wait
from backhaul.gateway.http.headers import applied_wait, ask_again
from backhaul.gateway.http.problems import problem_reply
from backhaul.gateway.http.queries import cursor_behind, no_parameters, task_query
from backhaul.gateway.http.replies import Empty, Header, Reply, header
from backhaul.gateway.http.request import Request, tenant_of
from backhaul.gateway.patience import answered
from backhaul_contracts import codec
from backhaul_contracts.ids import TaskId, is_task_id
from backhaul_contracts.problems import ProblemCode
from backhaul_contracts.tasks import Status


class Tasks:
    """The endpoints that read and delete tasks."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def get(self, request: Request) -> ASGIApp:
        no_parameters(request)
        wait = preferred_wait(request.header(b"prefer"))
        known = request.header(b"if-none-match")
        snapshot = await self._awaited(request, wait, known)
        tag = entity_tag(snapshot.record.seq)
        headers = [header(b"etag", tag), *self._ask_again(snapshot.record), *applied_wait(wait)]
        if known is not None and matches(known, tag):
            return Empty(304, headers)
        return Reply(200, self._gateway.shown(snapshot, request.identity).encode(), headers)

    async def result(self, request: Request) -> ASGIApp:
        no_parameters(request)
        wait = preferred_wait(request.header(b"prefer"))
        snapshot = await self._awaited(request, wait)
        record = snapshot.record
        headers = [*self._ask_again(record), *applied_wait(wait)]
        if not record.status.done:
            return problem_reply(_not_finished(record), headers)
        if record.status is not Status.SUCCEEDED:
            return problem_reply(_not_succeeded(record), headers, {"error": codec.loads(record.error or "null")})
        return Reply(200, (snapshot.result or "null").encode(), headers)

    async def find(self, request: Request) -> ASGIApp:
        query = task_query(request, tenant_of(request))
        found = await answered(self._gateway.store.find(query))
        next_cursor = None if found.before is None else cursor_behind(found.before)
        shown = (self._gateway.shown(snapshot, request.identity) for snapshot in found.tasks)
        return Reply(200, page_json(shown, next_cursor))

    async def delete(self, request: Request) -> ASGIApp:
        no_parameters(request)
        task_id = request.path("task_id")
        record = None
        if is_task_id(task_id):
            record = await answered(self._gateway.store.forget(tenant_of(request), TaskId(task_id)))
        if record is None:
            raise self._gateway.lookup.missing(task_id)
        if not record.status.done:
            return problem_reply(_not_finished(record), self._ask_again(record))
        return Empty(204)

    async def _awaited(self, request: Request, wait: timedelta | None, known: str | None = None) -> Snapshot:
        """The task: now, or if a `wait` is preferred when it differs from what is `known`, or else when it is done."""
        tenant, task_id = tenant_of(request), request.path("task_id")
        if wait is None:
            return await self._gateway.lookup.task(tenant, task_id)
        if known is None:
            return await self._gateway.waiting.for_end(request, tenant, task_id, wait)
        return await self._gateway.waiting.for_change(
            request, tenant, task_id, wait, lambda snapshot: not matches(known, entity_tag(snapshot.record.seq))
        )

    def _ask_again(self, record: Record) -> list[Header]:
        return ask_again(record, self._gateway.clock.now())


def _not_finished(record: Record) -> Rejected:
    return Rejected(ProblemCode.NOT_FINISHED, f"The task is {record.status}.", task_id=record.id)


def _not_succeeded(record: Record) -> Rejected:
    return Rejected(ProblemCode.NOT_SUCCEEDED, f"The task is {record.status}{_why(record)}.", task_id=record.id)


def _why(record: Record) -> str:
    if record.error is not None:
        error = codec.loads(record.error)
        return f": {error['code']}: {(error['detail'] or error['title']).rstrip('.')}"
    return f": {record.cancel_reason}" if record.cancel_reason else ""
