"""Steering a task: cancel and retry."""

from datetime import timedelta

from starlette.types import ASGIApp

from backhaul.core.errors import Rejected
from backhaul.core.task.commands import Cancel, Rerun
from backhaul.core.task.record import Record, Snapshot
from backhaul.core.task.transitions import Refusal
from backhaul.gateway.gateway import Gateway
from backhaul.gateway.http.headers import accepted
from backhaul.gateway.http.queries import no_parameters
from backhaul.gateway.http.replies import Reply
from backhaul.gateway.http.request import Request, parsed, tenant_of
from backhaul.gateway.patience import answered
from backhaul_contracts.problems import ProblemCode
from backhaul_contracts.submissions import CancelTask
from backhaul_contracts.tasks import Status
from backhaul_contracts.wire import Strict


class Nothing(Strict):
    """The body of a call that needs none."""


class Steering:
    """The endpoints that change what becomes of a task."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def cancel(self, request: Request) -> ASGIApp:
        no_parameters(request)
        wanted = parsed(CancelTask, await request.optional_json())
        return self._answer(request, await self.cancelled(tenant_of(request), request.path("task_id"), wanted))

    async def cancelled(self, tenant: str, task_id: str, wanted: CancelTask) -> Snapshot:
        """Cancel the task, on whatever transport that is wanted; returns it as it then is."""
        snapshot = await self._gateway.lookup.task(tenant, task_id)
        command = Cancel(snapshot.record.id, wanted.reason, wanted.grace)
        outcome = await answered(self._gateway.command(command))
        if isinstance(outcome, Refusal):
            snapshot = await self._gateway.lookup.task(tenant, task_id)
        else:
            snapshot = Snapshot(outcome.record, snapshot.input, snapshot.result)
        self._hint(snapshot.record, wanted.grace)
        return snapshot

    async def retry(self, request: Request) -> ASGIApp:
        no_parameters(request)
        parsed(Nothing, await request.optional_json())
        snapshot = await self._task(request)
        outcome = await answered(self._gateway.command(Rerun(snapshot.record.id)))
        if isinstance(outcome, Refusal):
            raise _not_retryable((await self._task(request)).record)
        return self._answer(request, Snapshot(outcome.record, snapshot.input))

    async def _task(self, request: Request) -> Snapshot:
        return await self._gateway.lookup.task(tenant_of(request), request.path("task_id"))

    def _hint(self, record: Record, grace: timedelta | None) -> None:
        if record.status is Status.CANCELLING and record.worker_id is not None:
            self._gateway.hints.stop(record.worker_id, record.id, record.attempt, grace)

    def _answer(self, request: Request, snapshot: Snapshot) -> Reply:
        record = snapshot.record
        headers = accepted(record, self._gateway.clock.now())
        shown = self._gateway.shown(snapshot, request.identity)
        return Reply(200 if record.status.done else 202, shown.encode(), headers)


def _not_retryable(record: Record) -> Rejected:
    return Rejected(
        ProblemCode.NOT_RETRYABLE,
        f"The task is {record.status}: only a failed, expired or cancelled one can be retried. "
        "To run it anew, replay it.",
        task_id=record.id,
    )
