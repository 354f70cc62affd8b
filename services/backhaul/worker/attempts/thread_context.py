"""The context of a handler in a thread: the same names, without `await`."""

import asyncio
import concurrent.futures
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from backhaul.worker.attempts.attempt import StopCause
from backhaul.worker.attempts.context import Context, Said
from backhaul.worker.kit.retry_policy import Length
from backhaul_contracts.wire import Json

if TYPE_CHECKING:
    from backhaul.worker.attempts.attempt import Attempt
    from backhaul.worker.attempts.calls import Calls
    from backhaul.worker.attempts.submissions import Submissions


class ThreadContext(Context):
    """Each call goes over to the loop and waits there for its end.

    When the attempt is over for good (another one has taken its place), every call raises `CancelledError`, so that
    a thread that reports now and then ends by itself.
    """

    def __init__(
        self,
        attempt: "Attempt",
        submissions: "Submissions",
        calls: "Calls",
        *,
        limit: int,
        now: datetime,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(attempt, submissions, calls, limit=limit, now=now)
        self._loop = loop

    def progress(self, done: float, total: float | None = None, note: str | None = None) -> Said:
        return self._hop(lambda: Context.progress(self, done, total, note))

    def output(self, delta: Json) -> Said:
        return self._hop(lambda: Context.output(self, delta))

    def log(self, message: str, /, level: str = "info", **fields: Any) -> Said:
        return self._hop(lambda: Context.log(self, message, level, **fields))

    def save(self, checkpoint: Json) -> Said:
        return self._hop(lambda: Context.save(self, checkpoint))

    def submit(self, kind: str, input: Json = None, *, key: str | None = None, **options: Any) -> Said:
        return self._hop(lambda: Context.submit(self, kind, input, key=key, **options))

    def call(
        self,
        kind: str,
        input: Json = None,
        *,
        key: str | None = None,
        timeout: Length | None = None,
        result: Any = None,
    ) -> Said:
        return self._hop(lambda: Context.call(self, kind, input, key=key, timeout=timeout, result=result))

    def _hop(self, call: Callable[[], Awaitable[Any]]) -> Any:
        if self._attempt.cause is StopCause.REPLACED:
            raise asyncio.CancelledError("the attempt is over")
        crossing = _cross(call)
        try:
            future = asyncio.run_coroutine_threadsafe(crossing, self._loop)
        except RuntimeError as error:  # the loop is closed: the worker is gone, the thread has outlived it
            crossing.close()
            raise asyncio.CancelledError("the worker is gone") from error
        try:
            return future.result()
        except concurrent.futures.CancelledError as error:
            raise asyncio.CancelledError("the attempt is over") from error


async def _cross(call: Callable[[], Awaitable[Any]]) -> Any:
    return await call()
