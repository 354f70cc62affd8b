"""Waits: attempts whose calls are pending take no slot, and go on before anything new is begun."""

import asyncio
from collections.abc import Callable

from backhaul.core.errors import TooManyCalls
from backhaul.worker.attempts.attempt import Attempt, Wait
from backhaul.worker.claiming.slots import Slots
from backhaul.worker.reporting import bodies
from backhaul.worker.timers import Timers


class Waits:
    """An attempt waits while at least one of its calls is pending. Whatever else it does meanwhile, it does without a
    slot: else children could wait for the slot of a parent that waits for them.

    Resuming, it takes the next slot that is free. One that should stop goes on without: it has only to clean up.
    `on_free`: a slot is free. `on_taken`: one was taken for which a token may be on its way. `let_go`: hand it back.
    """

    def __init__(
        self,
        slots: Slots,
        timers: Timers,
        max_blocked: int,
        *,
        on_free: Callable[[], None],
        on_taken: Callable[[], None],
        let_go: Callable[[Attempt], None],
    ) -> None:
        self._slots = slots
        self._timers = timers
        self._max_blocked = max_blocked
        self._on_free = on_free
        self._on_taken = on_taken
        self._let_go = let_go
        self._waiting: dict[Attempt, Wait] = {}
        self._resuming: dict[Attempt, asyncio.Future[None]] = {}
        self._closed = False
        self.draining = False
        """Whether who begins to wait is handed back."""

    @property
    def attempts(self) -> list[Attempt]:
        """Those without a slot."""
        return list(self._waiting)

    def enter(self, attempt: Attempt, task_id: str, kind: str) -> None:
        """A call is pending. Raises `TooManyCalls` if that would block one thread or process too many."""
        wait = attempt.wait
        if wait is None:
            self._refuse_too_many(attempt)
            wait = self._begin(attempt, task_id, kind)
        elif attempt in self._resuming:
            self._go(attempt)
        wait.calls += 1
        if self.draining:
            self._let_go(attempt)

    async def leave(self, attempt: Attempt) -> None:
        """A call is pending no longer. If it was the last, return when the attempt has a slot again."""
        wait = attempt.wait
        if wait is None:
            return
        wait.calls -= 1
        if wait.calls or attempt.cause is not None or self._closed:
            return
        turn = self._resuming[attempt] = asyncio.get_running_loop().create_future()
        self._slots.claim_back(attempt.grant.kind)
        if self.go_on():
            self._on_taken()
        try:
            await turn
        finally:
            if self._resuming.get(attempt) is turn:
                self._go_at_once(attempt)

    def hurry(self, attempt: Attempt) -> None:
        """It was asked to stop: it waits for no slot any longer."""
        if attempt in self._resuming:
            self._go(attempt)

    def go_on(self) -> bool:
        """Let attempts resume for which there are slots, in the order of their asking. Whether any has."""
        going = []
        for attempt in self._resuming:
            if self._slots.can_resume(attempt.grant.kind):
                going.append(attempt)
                self._slots.occupy(attempt.grant.kind)
        for attempt in going:
            self._resume(attempt)
        return bool(going)

    def end(self, attempt: Attempt) -> None:
        """The handler has ended: give back its slot, if it has one."""
        self.hurry(attempt)
        attempt.wait = None
        if self._waiting.pop(attempt, None) is None:
            self._vacate(attempt)

    def abandon(self) -> None:
        """Nobody waits for a slot any more."""
        self._closed = True
        for attempt in list(self._resuming):
            self._go(attempt)

    def _refuse_too_many(self, attempt: Attempt) -> None:
        blocked = sum(waiting.is_blocking for waiting in self._waiting)
        if attempt.is_blocking and blocked >= self._max_blocked:
            raise TooManyCalls(
                f"{blocked} handlers of this worker wait for calls in threads or processes that are blocked, and no "
                "more may (max_blocked): make such handlers async, or give Service(…, max_blocked=…) more"
            )

    def _begin(self, attempt: Attempt, task_id: str, kind: str) -> Wait:
        stopped = None if attempt.timer is None or attempt.cause is not None else self._timers.stop(attempt.timer)
        wait = attempt.wait = self._waiting[attempt] = Wait(self._timers.now(), stopped)
        attempt.reports.add(bodies.waiting(task_id, kind))
        self._vacate(attempt)
        return wait

    def _resume(self, attempt: Attempt) -> None:
        """It has its slot."""
        self._go(attempt)
        wait = self._waiting.pop(attempt)
        attempt.wait = None
        attempt.waited += self._timers.now() - wait.since
        if wait.stopped is not None and attempt.cause is None:
            attempt.timer = self._timers.go_on(wait.stopped)
        attempt.reports.add(bodies.RESUMED)

    def _go_at_once(self, attempt: Attempt) -> None:
        """It was interrupted while it waited for its slot. If nobody has asked it to stop, that was its own handler,
        which goes on: it takes a slot that there is not, rather than none and no time-out."""
        if attempt.cause is None:
            self._slots.occupy(attempt.grant.kind)
            self._resume(attempt)
        else:
            self._go(attempt)

    def _go(self, attempt: Attempt) -> None:
        """It waits for a slot no longer."""
        self._slots.waive(attempt.grant.kind)
        turn = self._resuming.pop(attempt)
        if not turn.done():
            turn.set_result(None)

    def _vacate(self, attempt: Attempt) -> None:
        """Free its slot. Settling its token lets another one come: not if the slot is taken again at once."""
        self._slots.vacate(attempt.grant.kind)
        taken = self.go_on()
        token, attempt.token = attempt.token, None
        if token is not None and taken:
            token.stream.settle_early(token)
        elif token is not None:
            token.stream.settle(token)
        self._on_free()
