"""Simulated time: an event loop whose clock jumps to the next timer as soon as nothing else is to be done.

Every callback belongs to a `Process` (by its context), as in reality every callback runs in one operating system
process. A process can be frozen, as SIGSTOP does: its callbacks wait, the rest of the world goes on. It can die, as
SIGKILL does: its callbacks are never run again, so no `finally` of it tidies anything up.
"""

import asyncio
import heapq
from asyncio import Handle, TimerHandle
from asyncio.base_events import BaseEventLoop
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, NoReturn, TypeVarTuple

A = TypeVarTuple("A")

START = datetime(2030, 1, 1, tzinfo=UTC)
MOST_TURNS = 200_000
"""A seed that needs more is caught in a circle: simulated time stands still, and the loop still turns."""

PROCESS: ContextVar["Process | None"] = ContextVar("PROCESS", default=None)


class Standstill(Exception):
    """Nothing is left that could ever happen, or things happen without end while no time passes."""


class Process:
    """One operating system process: what belongs to it can be frozen and killed as a whole."""

    def __init__(self, role: str, name: str) -> None:
        self.role = role
        self.name = name
        self.dead = False
        self.frozen = False
        self.held: deque[Handle] = deque()
        """What was due while it was frozen, or dead."""
        self.started: list[asyncio.Task[Any]] = []
        self.context = copy_context()
        self.context.run(PROCESS.set, self)
        loop = asyncio.get_running_loop()
        if isinstance(loop, SimulatedLoop):
            loop.processes.append(self)

    @property
    def running(self) -> bool:
        return not self.dead and not self.frozen

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in this process. The loop keeps the task."""
        self.started.append(self.spawn(coroutine))

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """The same, for whoever wants to wait for it."""
        return asyncio.get_running_loop().create_task(coroutine, context=self.context.copy())

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function in this process, in the next turn of the loop."""
        asyncio.get_running_loop().call_soon(function, *arguments, context=self.context.copy())

    def freeze(self) -> None:
        self.frozen = True

    def thaw(self) -> None:
        """What was held back happens now, in the order in which it was due."""
        self.frozen = False
        loop = asyncio.get_running_loop()
        if isinstance(loop, SimulatedLoop):
            loop.resume(self.held)
        self.held.clear()

    def kill(self) -> None:
        self.dead = True

    def __repr__(self) -> str:
        return f"<process {self.name}>"


class SimulatedTask(asyncio.Task[Any]):
    """A task with a hash of its own: sets of tasks are then walked in the same order in every run."""

    def __init__(self, number: int, *arguments: Any, **options: Any) -> None:
        self._place = number
        super().__init__(*arguments, **options)

    def __hash__(self) -> int:
        return self._place


class SimulatedLoop(BaseEventLoop):
    """An asyncio event loop without a selector, sockets and threads. The same calls give the same order of events."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = 0
        self.processes: list[Process] = []
        self.everything_runs = False
        """At the very end: what is dead or frozen is allowed to tidy up, so that nothing is left to be collected."""
        self._now = 0.0
        self._soon: deque[Handle] = deque()
        self._timers: list[tuple[float, int, TimerHandle]] = []
        self._order = count()
        self._tasks = count(1)
        self.tasks: list[asyncio.Task[Any]] = []
        """Kept until the end: a task that is never to run again must not be collected (and so closed) meanwhile."""
        self.set_task_factory(self._make_task)

    def time(self) -> float:
        return self._now

    def call_soon(self, callback: Callable[[*A], object], *args: *A, context: Context | None = None) -> Handle:
        handle = Handle(callback, args, self, context)
        self._soon.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*A], object], *args: *A, context: Context | None = None
    ) -> Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[[*A], object], *args: *A, context: Context | None = None
    ) -> TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*A], object], *args: *A, context: Context | None = None
    ) -> TimerHandle:
        timer = TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def resume(self, handles: deque[Handle]) -> None:
        self._soon.extend(handles)

    def _timer_handle_cancelled(self, handle: TimerHandle) -> None:
        """It stays in the heap until its time has come."""

    def _run_once(self) -> None:
        self.turns += 1
        if self.turns > MOST_TURNS:
            raise Standstill(f"{MOST_TURNS} turns of the loop, and no end: something runs in a circle")
        if not self._soon and not self._stopping:  # type: ignore[attr-defined]
            self._jump()
        soon = self._soon
        for _ in range(len(soon)):
            handle = soon.popleft()
            if handle._cancelled:
                continue
            process = handle._context.get(PROCESS)  # type: ignore[attr-defined]
            if process is None or self.everything_runs or not (process.frozen or process.dead):
                handle._run()
            else:
                process.held.append(handle)

    def _jump(self) -> None:
        """To the next moment at which something is due."""
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        if not timers:
            raise Standstill("nothing is left that could ever happen")
        self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            self._soon.append(heapq.heappop(timers)[2])

    def _make_task(
        self, loop: Any, coroutine: Any, context: Context | None = None, **options: Any
    ) -> asyncio.Task[Any]:
        task = SimulatedTask(next(self._tasks), coroutine, loop=loop, context=context)
        self.tasks.append(task)
        if len(self.tasks) > 4_000:
            self.tasks = [kept for kept in self.tasks if not kept.done()]
        return task

    def _write_to_self(self) -> None: ...

    def _process_events(self, event_list: Any) -> None: ...


class SimulatedClock:
    """`core.clock.Clock` on the time of the running loop."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        return START + timedelta(seconds=self._loop.time())

    async def sleep(self, length: timedelta) -> None:
        await asyncio.sleep(length.total_seconds())


class _Never:
    """Awaited, it never returns."""

    def __await__(self) -> Generator[Any, None, NoReturn]:
        while True:
            yield from asyncio.get_running_loop().create_future()


NEVER = _Never()
