"""Submitting tasks from a handler: over the broker, through the same door as everyone else."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from backhaul.core import topology
from backhaul.core.errors import BrokerUnavailable, Rejected
from backhaul.core.ports.broker import Broker, Delivery, Message
from backhaul.worker.timers import Timers
from backhaul_contracts.envelope import CLOUDEVENT, CloudEvent
from backhaul_contracts.ids import new_id
from backhaul_contracts.messages import RejectedReply, Submitted
from backhaul_contracts.problems import Problem, ProblemCode
from backhaul_contracts.submissions import SubmitTask
from backhaul_contracts.wire import Json

_log = logging.getLogger("backhaul.worker")

_PATIENCE = timedelta(seconds=5)
_OPTIONS = frozenset(SubmitTask.model_fields) - {"kind", "input", "key", "parent_id"}
_REJECTED = RejectedReply.model_fields["type"].default


class Submissions:
    """Publishes each submission until it is answered; its id makes a repeat the same submission."""

    def __init__(self, broker: Broker, timers: Timers, reply_to: str) -> None:
        self._broker = broker
        self._timers = timers
        self._reply_to = reply_to
        self._waiting: dict[str, asyncio.Future[str]] = {}

    async def submit(self, parent_id: str, name: str, kind: str, input: Json, options: Mapping[str, Any]) -> str:
        """The id of the task that is `name` among those of its parent.

        Raises `Rejected` if the platform refuses it, `ValueError` and `TypeError` for what cannot be submitted.
        """
        message = self._message(parent_id, name, _body(parent_id, kind, input, options))
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[str(message.correlation_id)] = future
        try:
            while not future.done():
                await self._publish(message)
                await self._wait(future)
            return future.result()
        finally:
            del self._waiting[str(message.correlation_id)]

    def answered(self, delivery: Delivery) -> None:
        """A reply to a submission. Raises `ValueError` for what is none."""
        event = CloudEvent.model_validate_json(delivery.body)
        future = self._waiting.get(delivery.correlation_id or "")
        if future is None or future.done():  # answered before, or the end of a task that was accepted
            return
        if event.type == _REJECTED:
            future.set_exception(_refusal(Problem.model_validate(event.data)))
        else:
            future.set_result(str(event.data["id"]))

    async def _publish(self, message: Message) -> None:
        try:
            await self._broker.publish([message])
        except BrokerUnavailable as error:
            _log.info("a submission to %s was not published and will be repeated: %s", message.routing_key, error)

    async def _wait(self, future: "asyncio.Future[str]") -> None:
        """Until it is answered, or it is time to repeat it."""
        patience = asyncio.Event()
        timer = self._timers.after(_PATIENCE, patience.set)
        future.add_done_callback(lambda _: patience.set())
        try:
            await patience.wait()
        finally:
            self._timers.cancel(timer)

    def _message(self, parent_id: str, name: str, body: SubmitTask) -> Message:
        source = f"/backhaul/tasks/{parent_id}"
        event = Submitted(specversion="1.0", type="dev.backhaul.task.submit", id=name, source=source, data=body)
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
    plain = to_jsonable_python(input, inf_nan_mode="null")
    try:
        return SubmitTask(kind=kind, input=plain, parent_id=parent_id, **options)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "options"
        raise ValueError(f"ctx.submit cannot submit {kind!r}: {where}: {first['msg']}") from error


def _refusal(problem: Problem) -> Rejected:
    return Rejected(ProblemCode(problem.code), problem.detail, errors=problem.errors, task_id=problem.task_id)
