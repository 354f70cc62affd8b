"""The context of a handler in a child process: the same names as in a thread, each a question to the worker."""

import asyncio
import time
from typing import TYPE_CHECKING, Any, cast

from backhaul.worker.attempts.context import Context, Said, check_number
from backhaul.worker.kit.payloads import read_result, shape_of, write_json
from backhaul.worker.kit.retry_policy import Length
from backhaul_contracts.wire import Json, parse_duration

if TYPE_CHECKING:
    from backhaul.worker.attempts.attempt import Attempt
    from backhaul.worker.processes.child.link import Link, Order


class ProcessContext(Context):
    """What is said goes over to the worker and waits there for its answer, as in a thread.

    Once the attempt should stop, the next call raises `CancelledError`, unless the handler has seen so by
    `ctx.cancelled`. That happens once: a handler on its way out can still save and log.
    """

    def __init__(self, order: "Order", link: "Link") -> None:
        attempt = cast("Attempt", order.attempt)
        elsewhere: Any = None
        super().__init__(attempt, elsewhere, elsewhere, limit=order.limit, now=order.now)
        self._link = link

    def progress(self, done: float, total: float | None = None, note: str | None = None) -> Said:
        for number in (done, total):
            check_number(done if number is None else number)
        said = [done, total, None if note is None else str(note)]
        return self._ask("progress", self._json("the progress", said))

    def output(self, delta: Json) -> Said:
        return self._ask("output", b"[%b]" % self._json("the output", delta))

    def log(self, message: str, /, level: str = "info", **fields: Any) -> Said:
        said = self._json("the log message", [str(message), level])
        return self._ask("log", said, self._json("a field of the log", fields))

    def save(self, checkpoint: Json) -> Said:
        return self._ask("save", b"[%b]" % self._json("the checkpoint", checkpoint))

    def submit(self, kind: str, input: Json = None, *, key: str | None = None, **options: Any) -> Said:
        said = b"[%b,%b]" % (self._json("the kind", kind), self._json("the input", input))
        return self._ask("submit", said, self._json("an option of ctx.submit", {"key": key, **options}))

    def call(
        self,
        kind: str,
        input: Json = None,
        *,
        key: str | None = None,
        timeout: Length | None = None,
        result: Any = None,
    ) -> Said:
        shape = None if result is None else shape_of(result)
        length = None if timeout is None else parse_duration(timeout).total_seconds()
        said = b"[%b,%b]" % (self._json("the kind", kind), self._json("the input", input))
        began = time.monotonic()
        try:
            value = self._ask("call", said, self._json("an option of ctx.call", {"key": key, "timeout": length}))
        finally:
            self._attempt.waited += time.monotonic() - began
        return value if shape is None else read_result(shape, kind, value)

    def _json(self, what: str, value: Any) -> bytes:
        return write_json(what, value, self._limit)

    def _ask(self, name: str, positional: bytes, named: bytes = b"{}") -> Any:
        try:
            answer = self._link.ask(name, b"[%b,%b]" % (positional, named))
        except asyncio.CancelledError:
            self._attempt.noticed = True
            raise
        if self._attempt.cause is not None and not self._attempt.noticed:
            self._attempt.noticed = True
            raise asyncio.CancelledError(f"the attempt should stop: {self._attempt.cause}")
        return answer
