"""A desk: one queue, read by the handful, each handful one transaction. Claims, beats and reports each have one."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Generic, TypeVar

from backhaul.core.batching import Inbox
from backhaul.core.clock import Clock
from backhaul.core.complaints import Complaints
from backhaul.core.errors import BrokerUnavailable, StoreUnavailable
from backhaul.core.messages import topology
from backhaul.core.ports.broker import Broker, Delivery
from backhaul.ledger.deadletters import dead_letter

M = TypeVar("M")

_log = logging.getLogger("backhaul.ledger")

_CREDIT = 1_000
_LIMIT = 200
_RETRY = timedelta(milliseconds=500)
_ASIDE = "the setting aside of bad messages"


@dataclass(frozen=True, slots=True)
class Letter(Generic[M]):
    """A readable delivery: its messages, and the worker that waits for the answer.

    `again`: it may have been handled before, by another ledger or here, and nobody knows with what success.
    """

    delivery: Delivery
    messages: Sequence[M]
    again: bool = False

    @property
    def sender(self) -> str | None:
        return self.delivery.reply_to


class Desk(Generic[M]):
    """Reads `queue` and hands what has come in to `handle`, one handful after the other.

    `read` answers the messages of a body that can be read, and the fault of those that cannot. A delivery is
    acknowledged after `handle` has returned. While store or broker is down the handful is tried again; what cannot be
    read, and what makes `handle` fail in any other way by itself, goes to the dead letters.
    """

    def __init__(
        self,
        broker: Broker,
        clock: Clock,
        queue: str,
        read: Callable[[bytes], tuple[Sequence[M], ValueError | None]],
        handle: Callable[[Sequence[Letter[M]]], Awaitable[None]],
    ) -> None:
        self._broker = broker
        self._clock = clock
        self._queue = queue
        self._read = read
        self._handle = handle
        self._inbox: Inbox[Delivery] = Inbox(_LIMIT)
        self._complaints = Complaints(_log)
        self.set_aside: Counter[str] = Counter()
        """How many deliveries went to the dead letters, by reason."""

    async def run(self) -> None:
        """Work until cancelled. What was not acknowledged by then is delivered to another ledger."""
        subscription = await self._broker.consume(
            self._queue, self._inbox.put, credit=_CREDIT, on_lost=self._inbox.clear
        )
        try:
            while True:
                await self._work_off(await self._inbox.take())
        finally:
            await subscription.cancel()

    async def _work_off(self, deliveries: Sequence[Delivery]) -> None:
        letters = []
        for delivery in deliveries:
            messages, fault = self._read(delivery.body)
            if fault is not None:
                await self._set_aside(delivery, "unreadable", fault)
            if messages:
                letters.append(Letter(delivery, messages, delivery.redelivered))
            else:
                delivery.ack()
        if letters:
            await self._settle(letters)

    async def _settle(self, letters: Sequence[Letter[M]]) -> None:
        while True:
            try:
                await self._handle(letters)
            except (StoreUnavailable, BrokerUnavailable) as error:
                self._complaints.say(self._queue, f"{self._queue}: messages wait for an outage to end: {error}")
                letters = [replace(letter, again=True) for letter in letters]
                await self._clock.sleep(_RETRY)
            except Exception as error:  # noqa: BLE001 - one bad message must not end the desk
                return await self._isolate(letters, error)
            else:
                self._complaints.settle(self._queue)
                for letter in letters:
                    letter.delivery.ack()
                return None

    async def _isolate(self, letters: Sequence[Letter[M]], error: Exception) -> None:
        """One bad message must not take its neighbours down: each is tried by itself, and the bad one is buried."""
        if len(letters) > 1:
            for letter in letters:
                await self._settle([letter])
            return
        _log.error("%s: a message cannot be handled", self._queue, exc_info=error)
        await self._set_aside(letters[0].delivery, "internal", error)
        letters[0].delivery.ack()

    async def _set_aside(self, delivery: Delivery, reason: str, error: Exception) -> None:
        """Keep a copy in the dead letters."""
        detail = f"{type(error).__name__}: {error}"
        while True:
            try:
                await dead_letter(self._broker, topology.DEAD, delivery, reason, detail, self._clock.now())
            except BrokerUnavailable as outage:
                self._complaints.say(_ASIDE, f"{self._queue}: a bad message waits until it can be set aside: {outage}")
                await self._clock.sleep(_RETRY)
            else:
                self._complaints.settle(_ASIDE)
                self.set_aside[reason] += 1
                return


async def supervise(*runs: Awaitable[None]) -> None:
    """Run loops together: the first that fails ends them all."""
    async with asyncio.TaskGroup() as group:
        for run in runs:
            group.create_task(_as_coroutine(run))


async def _as_coroutine(run: Awaitable[None]) -> None:
    await run
