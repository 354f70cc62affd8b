"""Threads for `def` handlers: started on demand, kept, and never a reason for the process not to end."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

Call = Callable[[], Any]


class Threads:
    """At most `limit` daemon threads. Whoever submits no more than `limit` calls at a time never waits for one.

    `concurrent.futures` would wait at the exit of the process for a handler that does not stop.
    """

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        self._busy = 0

    def submit(self, call: Call) -> None:
        """Run `call`, which must not raise, in a thread, with the context variables of the caller."""
        context = contextvars.copy_context()
        with self._lock:
            self._busy += 1
            start = self._started < min(self._busy, self._limit)
            self._started += start
        self._calls.put(lambda: context.run(call))
        if start:
            threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()

    async def call(self, call: Callable[[], Any]) -> Any:
        """What `call` returns or raises, from a thread. A cancellation of who waits does not touch the thread: it ends
        when it ends."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[_Ended] = loop.create_future()

        def run() -> None:
            end = _run(call)
            try:
                loop.call_soon_threadsafe(_tell, ended, end)
            except RuntimeError:  # the loop is closed: the thread has outlived its worker
                return

        self.submit(run)
        end = await ended
        if end.error is not None:
            raise end.error
        return end.value

    def close(self) -> None:
        """Let the threads end: idle ones at once, the others after their call."""
        for _ in range(self._started):
            self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call
            with self._lock:
                self._busy -= 1


@dataclass(frozen=True, slots=True)
class _Ended:
    value: Any = None
    error: BaseException | None = None


def _run(call: Call) -> _Ended:
    try:
        return _Ended(value=call())
    except BaseException as error:  # noqa: BLE001 - it is raised again in the loop
        return _Ended(error=error)


def _tell(ended: "asyncio.Future[_Ended]", end: _Ended) -> None:
    if not ended.done():
        ended.set_result(end)
