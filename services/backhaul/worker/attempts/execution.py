"""Execution: the way of one attempt, from its input to its outcome."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backhaul.core.clock import Clock
from backhaul.worker.attempts import outcomes
from backhaul.worker.attempts.attempt import Attempt
from backhaul.worker.attempts.calls import Calls
from backhaul.worker.attempts.context import Context
from backhaul.worker.attempts.submissions import Submissions
from backhaul.worker.attempts.thread_context import ThreadContext
from backhaul.worker.attempts.threads import Threads
from backhaul.worker.kit.handler import Handler
from backhaul.worker.kit.origin import Origin
from backhaul.worker.kit.payloads import InputMisfit
from backhaul.worker.kit.signature import Signature
from backhaul.worker.processes.process_end import of_end
from backhaul.worker.processes.process_run import ProcessRun
from backhaul.worker.processes.processes import Processes
from backhaul.worker.reporting import bodies

_OF_THE_LOOP = (KeyboardInterrupt, GeneratorExit)
"""What comes to a coroutine from outside, and is not for it to keep."""


@dataclass(frozen=True, slots=True)
class Duty:
    """A handler, ready to be called: its types, and the resources it wants by the names of its parameters."""

    handler: Handler
    signature: Signature
    resources: Mapping[str, Any]
    origin: Origin | None = None
    """Where a child process finds the handler, if it runs in one."""


class Execution:
    """Runs attempts. Whatever a handler does, `run` ends with an outcome among the attempt's reports, or without one
    if none is wanted; it raises only when the worker itself is torn down."""

    def __init__(
        self,
        duties: Mapping[str, Duty],
        threads: Threads,
        processes: Processes,
        submissions: Submissions,
        calls: Calls,
        *,
        clock: Clock,
        max_result: int,
    ) -> None:
        self._duties = duties
        self._threads = threads
        self._processes = processes
        self._submissions = submissions
        self._calls = calls
        self._clock = clock
        self._max_result = max_result

    async def run(self, attempt: Attempt) -> str:
        """read → call → write → report. How it has ended, in a word: that of its outcome, or `dropped`."""
        duty = self._duties[attempt.grant.kind]
        if duty.origin is not None:
            outcome = await self._run_in_process(duty.origin, attempt)
        else:
            outcome = await self._run_here(duty, attempt)
        if outcome is None:
            return "dropped"
        attempt.reports.close(outcome)
        return bodies.word(outcome)

    async def _run_here(self, duty: Duty, attempt: Attempt) -> bytes | None:
        try:
            value = duty.signature.input.read(attempt.grant.input)
        except InputMisfit as misfit:
            return outcomes.of_misfit(attempt, str(misfit))
        except Exception as error:  # noqa: BLE001 - a validator of the service's own may raise anything
            return outcomes.of_error(attempt, error)
        return await self._outcome(duty, attempt, value)

    async def _run_in_process(self, origin: Origin, attempt: Attempt) -> bytes | None:
        """A child process reads, calls and writes; here is only decided what it means."""
        now = self._clock.now()
        context = Context(attempt, self._submissions, self._calls, limit=self._max_result, now=now)
        try:
            async with self._processes.lent() as process:
                if attempt.cause is not None:
                    return outcomes.of_stop(attempt, asyncio.CancelledError())
                run = ProcessRun(process, attempt, context)
                end = await run.run(origin, self._max_result, now)
        except OSError as error:
            return outcomes.of_death(attempt, f"No process could be started for the attempt: {error}.")
        return of_end(attempt, end)

    async def _outcome(self, duty: Duty, attempt: Attempt, input: Any) -> bytes | None:
        try:
            value = await self._call(duty, attempt, input)
        except asyncio.CancelledError as error:
            if attempt.cause is None and _torn_down():
                raise
            return outcomes.of_stop(attempt, error)
        except BaseException as error:
            if isinstance(error, _OF_THE_LOOP) and not attempt.in_thread:
                raise
            return outcomes.of_error(attempt, error)
        return outcomes.of_result(attempt, value, duty.signature.result, self._max_result)

    async def _call(self, duty: Duty, attempt: Attempt, input: Any) -> Any:
        if attempt.cause is not None:
            raise asyncio.CancelledError(attempt.cause)
        arguments = self._arguments(duty, attempt)
        if attempt.in_thread:
            return await self._threads.call(lambda: duty.handler.function(input, **arguments))
        attempt.interruptible = asyncio.current_task()
        try:
            return await duty.handler.function(input, **arguments)
        finally:
            attempt.interruptible = None

    def _arguments(self, duty: Duty, attempt: Attempt) -> Mapping[str, Any]:
        name = duty.signature.context
        return duty.resources if name is None else {**duty.resources, name: self._context(attempt)}

    def _context(self, attempt: Attempt) -> Context:
        now = self._clock.now()
        if not attempt.in_thread:
            return Context(attempt, self._submissions, self._calls, limit=self._max_result, now=now)
        loop = asyncio.get_running_loop()
        return ThreadContext(attempt, self._submissions, self._calls, limit=self._max_result, now=now, loop=loop)


def _torn_down() -> bool:
    """Whether this task was cancelled from outside, and not the handler by itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
