"""Calls: children whose outcome an attempt waits for."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from backhaul.core.errors import CallFailed
from backhaul.core.tracing import Side, Tracer
from backhaul.worker.attempts.attempt import Attempt
from backhaul.worker.attempts.inquiry import Inquiry
from backhaul.worker.attempts.submissions import Submissions
from backhaul.worker.attempts.waits import Waits
from backhaul.worker.reporting import bodies
from backhaul.worker.timers import Timers
from backhaul_contracts.failures import Failure
from backhaul_contracts.wire import Json


class Calls:
    """A call is a submission that waits for the end of its task.

    The ledger tells of it by the worker's mailbox. What is lost there, the beats repair: they list what is pending, and
    are answered with what is done.
    """

    def __init__(self, submissions: Submissions, waits: Waits, timers: Timers, tracer: Tracer) -> None:
        self._submissions = submissions
        self._waits = waits
        self._timers = timers
        self._tracer = tracer
        self._pending: dict[Inquiry, None] = {}

    @property
    def pending(self) -> list[str]:
        """The tasks that are waited for."""
        return list(dict.fromkeys(inquiry.task_id for inquiry in self._pending))

    def done(self, task_ids: Iterable[str]) -> None:
        """These tasks are done, as a beat was answered: ask for their outcome."""
        done = set(task_ids)
        for inquiry in self._pending:
            if inquiry.task_id in done:
                inquiry.ask_again()

    async def call(self, attempt: Attempt, name: str, kind: str, input: Json, patience: timedelta | None) -> Json:
        """The result of the task that is `name` among the children of the attempt's task. While it is not done, the
        attempt takes no slot.

        Raises `CallFailed`, `Rejected`, `TooManyCalls`; `TimeoutError` after `patience`: then the child is cancelled.
        """
        if attempt.cause is not None:
            raise asyncio.CancelledError(attempt.cause)
        with (
            self._tracer.span(f"call {kind}", Side.CLIENT, attempt.traceparent) as span,
            self._submissions.inquiry(
                attempt, name, kind, input, {}, awaited=True, traceparent=span.traceparent
            ) as inquiry,
        ):
            error = TimeoutError(f"the call of {kind} was not answered within {patience}")
            timer = None if patience is None else self._timers.after(patience, lambda: inquiry.fail(error))
            try:
                return _result(await self._outcome(attempt, inquiry))
            finally:
                if timer is not None:
                    self._timers.cancel(timer)

    async def _outcome(self, attempt: Attempt, inquiry: Inquiry) -> Mapping[str, Any]:
        task = await self._accepted(attempt, inquiry)
        if task["done"]:
            return task
        self._waits.enter(attempt, inquiry.task_id, inquiry.kind)
        self._pending[inquiry] = None
        try:
            return await self._submissions.ended(inquiry)
        except TimeoutError:  # said before a slot is waited for, which the child itself may hold
            attempt.reports.add(bodies.abandoned(inquiry.task_id))
            raise
        finally:
            del self._pending[inquiry]
            await self._waits.leave(attempt)

    async def _accepted(self, attempt: Attempt, inquiry: Inquiry) -> Mapping[str, Any]:
        try:
            return await self._submissions.accepted(inquiry)
        except TimeoutError:
            if await self._submissions.last_word(inquiry) is not None:
                attempt.reports.add(bodies.abandoned(inquiry.task_id))
            raise


def _result(task: Mapping[str, Any]) -> Json:
    if task["status"] == "succeeded":
        return task["result"]
    error = None if task["error"] is None else Failure.model_validate(task["error"])
    raise CallFailed(task["id"], task["kind"], task["status"], error)
