"""Listening: the way of one event, from its delivery until it is settled."""

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from backhaul.core.clock import Clock
from backhaul.core.errors import BackhaulError
from backhaul.core.messages import topology
from backhaul.core.messages.deadletters import set_aside
from backhaul.core.ports.broker import Broker, Delivery, Subscription
from backhaul.core.task.retry import backoff
from backhaul.worker.attempts.failures import Verdict, judge
from backhaul.worker.attempts.threads import Threads
from backhaul.worker.kit.listener import Listener
from backhaul.worker.kit.task_event import TaskEvent, read_event
from backhaul.worker.timers import Timers
from backhaul_contracts.ids import new_id

_log = logging.getLogger("backhaul.worker")


class Leaving(BackhaulError):
    """The worker leaves, so an event that it holds is for another one."""


class Listening:
    """Hears the queue of one listener. An event is acknowledged when the function has returned, or when it was given up
    and stands among the dead letters."""

    def __init__(
        self,
        listener: Listener,
        resources: Mapping[str, Any],
        broker: Broker,
        threads: Threads,
        timers: Timers,
        clock: Clock,
    ) -> None:
        self._listener = listener
        self._resources = resources
        self._broker = broker
        self._threads = threads
        self._timers = timers
        self._clock = clock
        self._subscription: Subscription | None = None
        self._leaving = asyncio.Event()
        self._running: set[asyncio.Task[Any]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    async def open(self) -> None:
        """Let events come; the queue must exist. Raises `BrokerUnavailable`; then it can be called again."""
        if self._subscription is None:
            listener = self._listener
            self._subscription = await self._broker.subscribe(listener.queue, self._handle, credit=listener.slots)

    async def close(self) -> None:
        """Let no more come. What waits for its next try goes back to the queue, what runs goes on."""
        self._leaving.set()
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.cancel()

    async def idle(self) -> None:
        """Return when nothing runs."""
        await self._idle.wait()

    def abandon(self) -> None:
        """Stop what runs: its events go back to the queue. A thread ends when it ends."""
        for task in self._running:
            task.cancel()

    async def _handle(self, delivery: Delivery) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - the subscription runs it in one
        self._running.add(task)
        self._idle.clear()
        try:
            await self._settle(delivery)
        finally:
            self._running.discard(task)
            if not self._running:
                self._idle.set()

    async def _settle(self, delivery: Delivery) -> None:
        """Return when the delivery can be acknowledged; raise when it is to come again."""
        try:
            event = read_event(delivery.body)
        except ValueError as fault:
            await self._give_up(delivery, "unreadable", str(fault))
            return
        failures = 0
        while (verdict := await self._try(event)) is not None:
            failures += 1
            failure = verdict.failure
            if not failure.retryable or failures >= self._listener.retry.max_attempts:
                await self._give_up(delivery, failure.code, ": ".join(filter(None, (failure.title, failure.detail))))
                return
            await self._pause(verdict, failures)

    async def _try(self, event: TaskEvent) -> Verdict | None:
        """What went wrong, or None if nothing did."""
        if self._leaving.is_set():
            raise Leaving(f"the worker leaves, {self._listener.name} is for another one to run")
        try:
            await self._call(event)
        except Exception as error:  # noqa: BLE001 - code of the service: whatever it raises, the event must not be lost
            verdict = judge(error, self._listener.retry, new_id("trc"))
            stack = None if verdict.expected else error
            _log.warning("%s failed on %s %s", self._listener, event.type, event.task_id, exc_info=stack)
            return verdict
        return None

    async def _call(self, event: TaskEvent) -> None:
        function = partial(self._listener.function, event, **self._resources)
        if self._listener.in_thread:
            await self._threads.call(function)
            return
        async with asyncio.timeout(None) as bound:
            timer = self._timers.after(self._listener.timeout, lambda: bound.reschedule(0))
            try:
                await function()
            finally:
                self._timers.cancel(timer)

    async def _pause(self, verdict: Verdict, failures: int) -> None:
        rule = self._listener.retry.rule
        drawn = backoff(rule.base, rule.cap, failures, random.random)
        wait: timedelta = drawn if verdict.retry_after is None else min(verdict.retry_after, rule.cap)
        await self._timers.within(wait, self._leaving.wait())

    async def _give_up(self, delivery: Delivery, reason: str, detail: str) -> None:
        queue = self._listener.queue
        _log.error("an event of %s is given up, and stands among the dead letters: %s: %s", queue, reason, detail)
        letter = set_aside(delivery, topology.DEAD, reason, detail, self._clock.now(), back_to=queue)
        await self._broker.publish([replace(letter, exchange=topology.DEAD)])
