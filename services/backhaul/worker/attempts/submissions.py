"""Submitting tasks from a handler: over the broker, through the same door as everyone else."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from backhaul.core.complaints import Complaints
from backhaul.core.errors import BrokerUnavailable, Rejected
from backhaul.core.messages import topology
from backhaul.core.ports.broker import Broker, Delivery, Message
from backhaul.worker.attempts.attempt import Attempt
from backhaul.worker.attempts.inquiry import Inquiry
from backhaul.worker.kit.payloads import plain_json
from backhaul.worker.timers import Timers
from backhaul_contracts.envelope import CLOUDEVENT, CloudEvent
from backhaul_contracts.ids import new_id
from backhaul_contracts.messages import RejectedReply, Submitted
from backhaul_contracts.problems import Problem, ProblemCode
from backhaul_contracts.submissions import SubmitTask
from backhaul_contracts.wire import Json

_log = logging.getLogger("backhaul.worker")

_PATIENCE = timedelta(seconds=5)
_MOMENTS = timedelta(seconds=2)
_OPTIONS = frozenset(SubmitTask.model_fields) - {"kind", "input", "key", "parent_id"}
_OVER = "the attempt is over"
_SUBMITTING = "the publishing of submissions"
_REJECTED = RejectedReply.model_fields["type"].default


class Submissions:
    """Publishes each submission until it is answered; its id makes a repeat the same submission.

    The ledger gives no answer to an attempt that is over: whoever waits for one then gets `CancelledError`.
    """

    def __init__(self, broker: Broker, timers: Timers, reply_to: str) -> None:
        self._broker = broker
        self._timers = timers
        self._reply_to = reply_to
        self._open: dict[str, Inquiry] = {}
        self._complaints = Complaints(_log, logging.WARNING)

    async def submit(self, attempt: Attempt, name: str, kind: str, input: Json, options: Mapping[str, Any]) -> str:
        """The id of the task that is `name` among the children of the attempt's task.

        Raises `Rejected` if the platform refuses it, `ValueError` and `TypeError` for what cannot be submitted.
        """
        with self.inquiry(attempt, name, kind, input, options, traceparent=attempt.traceparent) as inquiry:
            task = await self.accepted(inquiry)
        return str(task["id"])

    @contextmanager
    def inquiry(
        self,
        attempt: Attempt,
        name: str,
        kind: str,
        input: Json,
        options: Mapping[str, Any],
        *,
        awaited: bool = False,
        traceparent: str | None = None,
    ) -> Iterator[Inquiry]:
        """A submission, and what is heard of it while this is open. `awaited`: it is a call."""
        if not attempt.may_submit:
            raise asyncio.CancelledError(_OVER)
        body = _body(attempt.grant.task_id, kind, input, options)
        inquiry = Inquiry(self._message(attempt, name, body, awaited, traceparent), kind)
        self._open[inquiry.id] = inquiry
        attempt.asking[inquiry] = None
        try:
            yield inquiry
        finally:
            del self._open[inquiry.id]
            del attempt.asking[inquiry]

    async def accepted(self, inquiry: Inquiry) -> Mapping[str, Any]:
        """The task, as it was when it was accepted, or found again. Raises `Rejected`."""
        while inquiry.task is None:
            inquiry.news.clear()
            await self._publish(inquiry)
            timer = self._timers.after(_PATIENCE, inquiry.news.set)
            try:
                await inquiry.wait()
            finally:
                self._timers.cancel(timer)
        return inquiry.task

    async def last_word(self, inquiry: Inquiry) -> Mapping[str, Any] | None:
        """The task that nobody waits for any more, if it is heard of within moments: it may just be being accepted."""
        if inquiry.task is None:
            inquiry.news.clear()
            await self._timers.within(_MOMENTS, inquiry.news.wait())
        return inquiry.task

    async def ended(self, inquiry: Inquiry) -> Mapping[str, Any]:
        """The task, once it is done. It is submitted again whenever the inquiry is to be repeated."""
        while not inquiry.done:
            inquiry.news.clear()
            if inquiry.repeat:
                inquiry.repeat = False
                await self._publish(inquiry)
            await inquiry.wait()
        return inquiry.task or {}

    def answered(self, delivery: Delivery) -> None:
        """A reply to a submission. Raises `ValueError` for what is none."""
        event = CloudEvent.model_validate_json(delivery.body)
        inquiry = self._open.get(delivery.correlation_id or "")
        if inquiry is None:  # answered before, or the end of a task that nobody waits for
            return
        if event.type == _REJECTED:
            inquiry.fail(_refusal(Problem.model_validate(event.data)))
        else:
            inquiry.hear(event.data)

    async def _publish(self, inquiry: Inquiry) -> None:
        try:
            await self._broker.publish([inquiry.message])
        except BrokerUnavailable as error:
            self._complaints.begin(_SUBMITTING, f"submissions are not published, and will be repeated: {error}")
        else:
            self._complaints.settle(_SUBMITTING)

    def _message(
        self, attempt: Attempt, name: str, body: SubmitTask, awaited: bool, traceparent: str | None
    ) -> Message:
        grant = attempt.grant
        event = Submitted(
            specversion="1.0",
            type="dev.backhaul.task.submit",
            id=name,
            source=f"/backhaul/tasks/{grant.task_id}",
            parentattempt=grant.attempt,
            parenttoken=grant.token,
            awaited=awaited,
            data=body,
        )
        if traceparent is not None:
            event = event.model_copy(update={"traceparent": traceparent})
        return Message(
            exchange=topology.SUBMIT,
            routing_key=body.kind,
            body=event.model_dump_json(exclude_unset=True).encode(),
            content_type=CLOUDEVENT,
            reply_to=self._reply_to,
            correlation_id=new_id("cor"),
        )


def _body(parent_id: str, kind: str, input: Json, options: Mapping[str, Any]) -> SubmitTask:
    unknown = sorted(set(options) - _OPTIONS)
    if unknown:
        raise TypeError(f"ctx.submit has no option {unknown[0]!r}: use key, {', '.join(sorted(_OPTIONS))}")
    try:
        return SubmitTask(kind=kind, input=plain_json(input), parent_id=parent_id, **options)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "options"
        raise ValueError(f"ctx.submit cannot submit {kind!r}: {where}: {first['msg']}") from error


def _refusal(problem: Problem) -> Rejected:
    return Rejected(ProblemCode(problem.code), problem.detail, errors=problem.errors, task_id=problem.task_id)
