"""One attempt in a child process, from the worker's side: what it says is heard, what it asks is answered."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from backhaul.core.tracing import FACTS
from backhaul.worker.attempts.attempt import Attempt, StopCause
from backhaul.worker.attempts.context import Context
from backhaul.worker.kit.origin import Origin
from backhaul.worker.processes import crossing
from backhaul.worker.processes.frames import Frame
from backhaul.worker.processes.process import Process
from backhaul_contracts import codec
from backhaul_contracts.claims import Grant

_log = logging.getLogger("backhaul.worker")

_METHODS: dict[str, Callable[..., Awaitable[Any]]] = {
    "progress": Context.progress,
    "output": Context.output,
    "log": Context.log,
    "save": Context.save,
    "submit": Context.submit,
    "call": Context.call,
}
_LONG = frozenset({"submit", "call"})
"""What may wait for long: a stop of the attempt ends it with `CancelledError`."""


class ProcessRun:
    """Runs `attempt` in `process`, and is what a stop of the attempt acts on."""

    def __init__(self, process: Process, attempt: Attempt, context: Context) -> None:
        self._process = process
        self._attempt = attempt
        self._context = context
        self._end: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._calls: dict[asyncio.Task[None], str] = {}

    async def run(self, origin: Origin, limit: int, now: datetime) -> Frame | str:
        """How it ended: what the process says of it, or how the process died."""
        self._process.on_frame = self._hear
        self._process.facts = FACTS.get()
        self._attempt.process = self
        order = {"do": "run", "origin": origin.model_dump(), "limit": limit, "now": now}
        try:
            await self._process.send(order, self._grant().model_dump_json().encode())
            endings: list[asyncio.Future[Any]] = [self._end, self._process.ended]
            await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._attempt.process = None
            for call in self._calls:
                call.cancel()
        if not self._end.done():
            return self._process.ended.result()
        end = self._end.result()
        if end.head["end"] != "unfit":
            self._process.on_frame = None
        return end

    def _grant(self) -> Grant:
        """What the attempt was granted, as part of its own span."""
        return self._attempt.grant.model_copy(update={"traceparent": self._attempt.traceparent})

    def stop(self, cause: StopCause) -> None:
        """Ask the handler to stop; an attempt that is over for good is killed."""
        if cause is StopCause.REPLACED:
            self.kill()
            return
        self._process.say({"do": "stop", "cause": cause})
        for call, name in self._calls.items():
            if name in _LONG:
                call.cancel()

    def kill(self) -> None:
        self._process.kill()

    def _hear(self, frame: Frame) -> None:
        if frame.head["say"] == "end":
            if not self._end.done():
                self._end.set_result(frame)
            return
        call = asyncio.create_task(self._answer(frame))
        self._calls[call] = frame.head["name"]
        call.add_done_callback(self._calls.pop)

    async def _answer(self, frame: Frame) -> None:
        head = {"do": "answer", "call": frame.head["call"]}
        try:
            value = await self._call(frame)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the handler gets it, whatever it is
            self._process.say({**head, "error": crossing.describe(error)})
        else:
            await self._process.send(head, codec.dumps(value))

    async def _call(self, frame: Frame) -> Any:
        positional, named = codec.loads(frame.body)
        return await _METHODS[frame.head["name"]](self._context, *positional, **named)
