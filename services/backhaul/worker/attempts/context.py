"""What a handler is given beside its input."""

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Generator
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

from backhaul.core.task.fingerprint import fingerprint
from backhaul.worker.kit.payloads import Shape, plain_json, read_result, shape_of, write_json
from backhaul.worker.kit.retry_policy import Length
from backhaul.worker.reporting import bodies
from backhaul_contracts.wire import Json, parse_duration

if TYPE_CHECKING:
    from backhaul.worker.attempts.attempt import Attempt
    from backhaul.worker.attempts.calls import Calls
    from backhaul.worker.attempts.submissions import Submissions
    from backhaul.worker.reporting.reports import Reports

Said: TypeAlias = Any
"""What a call of a `Context` gives: in an async handler something to await, in a `def` handler the answer itself.
No type says both, and either handler would otherwise be blamed by a type checker."""

LEVELS = ("debug", "info", "warning", "error")


class Context:
    """The attempt that runs now, and the way to tell the world of it.

    In an async handler its methods are awaited. In a `def` handler they have the same names and are called without
    `await`. They wait while too much of this attempt is not recorded yet.
    """

    def __init__(
        self, attempt: "Attempt", submissions: "Submissions", calls: "Calls", *, limit: int, now: datetime
    ) -> None:
        self._attempt = attempt
        self._submissions = submissions
        self._calls = calls
        self._limit = limit
        self._started_at = now
        self._submitted = count(1)
        self._called: Counter[str] = Counter()

    @property
    def task_id(self) -> str:
        return self._attempt.grant.task_id

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return self._attempt.grant.attempt

    @property
    def max_attempts(self) -> int:
        """How many failures the task may have."""
        return self._attempt.grant.max_attempts

    @property
    def kind(self) -> str:
        return self._attempt.grant.kind

    @property
    def tenant(self) -> str:
        return self._attempt.grant.tenant

    @property
    def metadata(self) -> dict[str, str]:
        """What the client attached to the task."""
        return self._attempt.grant.metadata

    @property
    def traceparent(self) -> str | None:
        """The trace that this attempt is part of (W3C Trace Context), for what it asks of others; None: there is none.
        Tasks that it submits or calls are part of it by themselves."""
        return self._attempt.traceparent

    @property
    def deadline(self) -> datetime:
        """When this attempt times out, in UTC. It moves on by the time that calls take."""
        return self._started_at + self._attempt.grant.timeout + timedelta(seconds=self._attempt.waited)

    @property
    def checkpoint(self) -> Json:
        """What an earlier attempt saved last; None if none did."""
        return self._attempt.grant.checkpoint

    @property
    def cancelled(self) -> bool:
        """Whether this attempt should stop: the task was cancelled or timed out, or the worker is leaving.

        A `def` handler looks here now and then; an async one gets `asyncio.CancelledError`.
        """
        if self._attempt.cause is None:
            return False
        self._attempt.noticed = True
        return True

    def progress(self, done: float, total: float | None = None, note: str | None = None) -> Said:
        """Say how far the work is: `done` of `total`, in any unit, with a note for people."""
        check_number(done)
        if total is not None:
            check_number(total)
        said = {"done": done, "total": total, "note": None if note is None else str(note)}
        return self._say(bodies.progress(write_json("the progress", said, self._limit)))

    def output(self, delta: Json) -> Said:
        """Send a piece of output: text, which is joined with what follows, or any JSON, which is kept as it is.

        Raises `ValueError` for what is not JSON and for more than `BACKHAUL_MAX_RESULT`.
        """
        if isinstance(delta, str):
            return self._say_text(delta)
        return self._say(bodies.output(write_json("the output", delta, self._limit)))

    def log(self, message: str, /, level: str = "info", **fields: Any) -> Said:
        """Write a line to the task's own log: `level` is debug, info, warning or error; fields are any JSON."""
        if level not in LEVELS:
            raise ValueError(f"ctx.log has no level {level!r}: use one of {', '.join(LEVELS)}")
        text = write_json("the log message", str(message), self._limit)
        return self._say(bodies.log(level, text, write_json("a field of the log", fields, self._limit)))

    def save(self, checkpoint: Json) -> Said:
        """Keep `checkpoint` (any JSON) for the next attempt, should there be one. Done when it is recorded."""
        return self._attempt.reports.save(bodies.checkpoint(write_json("the checkpoint", checkpoint, self._limit)))

    def submit(self, kind: str, input: Json = None, *, key: str | None = None, **options: Any) -> Said:
        """Submit another task, with this one as its parent; the answer is its id.

        When this task is run again, the same submission is found again instead of made twice: they are told apart by
        their order, or by `key`. Options: queue, priority, run_at, delay, expires_in, timeout, max_attempts, metadata.
        Raises `Rejected` if the platform refuses it.
        """
        name = f"submit-{next(self._submitted)}" if key is None else f"key-{key}"
        return self._submissions.submit(self._attempt, name, kind, input, options)

    def call(
        self,
        kind: str,
        input: Json = None,
        *,
        key: str | None = None,
        timeout: Length | None = None,
        result: Any = None,
    ) -> Said:
        """Have another task done, with this one as its parent; the answer is its result, as JSON, or read as the type
        `result`. While it is not done, this task is `waiting`: it takes no slot, and its time-out stands still.

        When this task is run again, the call joins the same child: one that runs or has succeeded is not started twice,
        one that ended without success is run anew. Calls are told apart by kind, input and, of the same ones, their
        order, or by `key`.

        Raises `CallFailed` if the child fails, is cancelled or expires, `Rejected` if the platform refuses it, and
        `TimeoutError` after `timeout`: then the child is cancelled.
        """
        shape = None if result is None else shape_of(result)
        length = None if timeout is None else parse_duration(timeout)
        plain = plain_json(input)
        return self._call(self._call_name(kind, plain, key), kind, plain, length, shape)

    async def _call(self, name: str, kind: str, input: Json, patience: timedelta | None, shape: Shape | None) -> Any:
        value = await self._calls.call(self._attempt, name, kind, input, patience)
        return value if shape is None else read_result(shape, kind, value)

    def _call_name(self, kind: str, input: Json, key: str | None) -> str:
        if key is not None:
            return f"key-{key}"
        same = fingerprint(kind, input)
        self._called[same] += 1
        return f"call-{same}-{self._called[same]}"

    def _say(self, body: bytes) -> Awaitable[None]:
        reports = self._attempt.reports
        if reports.full:
            return _say_later(reports, body)
        reports.add(body)
        return _TURN

    def _say_text(self, text: str) -> Awaitable[None]:
        reports = self._attempt.reports
        if len(text) > self._limit or not text.isascii():
            write_json("the output", text, self._limit)
        if reports.full:
            return _say_later(reports, text)
        if text:
            reports.add_text(text)
        return _TURN


def check_number(number: object) -> None:
    if not isinstance(number, int | float) or not math.isfinite(number):
        raise ValueError(f"ctx.progress takes finite numbers, not {number!r}")


class _Turn:
    """Lets the loop turn once: whoever reports often must not keep it from sending."""

    def __await__(self) -> Generator[None, None, None]:
        yield


_TURN = _Turn()


async def _say_later(reports: "Reports", said: bytes | str) -> None:
    await reports.room()
    if isinstance(said, str):
        reports.add_text(said)
    else:
        reports.add(said)
    await asyncio.sleep(0)
