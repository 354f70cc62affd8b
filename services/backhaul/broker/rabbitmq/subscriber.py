"""Subscribing: what foreign producers publish is handled in tasks of our own, and settled when they are done."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any

from aiormq.exceptions import ChannelAccessRefused
from yarl import URL

from backhaul.broker.rabbitmq.hearing import HEARING_ERRORS, ForeignDelivery, Hearing
from backhaul.broker.rabbitmq.link import Backoff
from backhaul.core.errors import BackhaulError
from backhaul.core.ports.broker import Delivery

PAUSE = timedelta(seconds=1)
"""How long a delivery is kept back after its handler failed."""

log = logging.getLogger(__name__)


class Subscriber:
    """A `Subscription` to a queue of foreign producers. `run` must be running until `cancel` has returned.

    A new credit takes a new connection: on the old one FastStream drops, unsettled, what arrives while it stops.
    """

    def __init__(
        self,
        url: URL,
        queue: str,
        handle: Callable[[Delivery], Awaitable[None]],
        *,
        credit: int,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self.queue = queue
        self.cancelled = False
        self.refused = False
        self._url = url
        self._handle = handle
        self._credit = credit
        self._spawn = spawn
        self._lock = asyncio.Lock()
        self._hearing: Hearing | None = None
        self._ended = asyncio.Event()
        self._tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._told: str | None = None

    async def run(self) -> None:
        """Hear until cancelled."""
        self._task = asyncio.current_task()
        pause = Backoff()
        try:
            while not self.cancelled:
                pause.tried()
                self._ended.clear()
                async with self._lock:
                    if self._hearing is None:  # else `resize` was first, and has heard
                        await self._hear()
                self._tried.set()
                await self._ended.wait()
                self._tried.clear()
                await pause.wait()
        finally:
            if self._hearing is not None:
                await self._hearing.close()

    async def tried(self) -> None:
        """Return when the consumer is in place, or could not be put there."""
        await self._tried.wait()

    async def resize(self, free: Callable[[], int]) -> None:
        async with self._lock:
            await self._leave()
            self._credit = free()
            if not self.cancelled:
                await self._hear()

    async def cancel(self) -> None:
        self.cancelled = True
        async with self._lock:
            await self._leave()
        self._tried.set()
        if self._task is not None:
            self._task.cancel()

    async def _hear(self) -> None:
        if self._credit <= 0:
            return
        hearing = Hearing(self._url, self.queue, self._credit, on_delivery=self._take, on_end=self._end)
        self._hearing = hearing
        try:
            await hearing.start()
        except HEARING_ERRORS as error:
            self.refused = isinstance(error, ChannelAccessRefused)
            self._tell(_reason(error))
            self._end(hearing)
        else:
            self.refused = False
            self._told = None

    def _tell(self, reason: str) -> None:
        """Once for each reason in a row: it is tried again twice a second, for as long as the broker is away."""
        if reason != self._told:
            log.warning("subscribing to %s failed: %s", self.queue, reason)
        self._told = reason

    async def _leave(self) -> None:
        hearing, self._hearing = self._hearing, None
        if hearing is not None:
            await hearing.leave()
            if not hearing.held:
                await hearing.close()

    def _take(self, hearing: Hearing, delivery: ForeignDelivery) -> None:
        self._spawn(self._work(hearing, delivery))

    async def _work(self, hearing: Hearing, delivery: ForeignDelivery) -> None:
        try:
            await self._handled(delivery)
            await delivery.settle()
        finally:
            hearing.held -= 1
            if hearing is not self._hearing and not hearing.held:
                await hearing.close()

    async def _handled(self, delivery: ForeignDelivery) -> None:
        try:
            await self._handle(delivery)
        except BackhaulError as error:
            log.warning("a message of %s goes back to it: %s", self.queue, error)
        except Exception:  # whatever it is, the message must not be lost
            log.exception("a message of %s goes back to it: its handler failed", self.queue)
        else:
            delivery.ack()
            return
        delivery.requeue()
        await asyncio.sleep(PAUSE.total_seconds())

    def _end(self, hearing: Hearing) -> None:
        self._spawn(hearing.close())
        if hearing is self._hearing:
            self._hearing = None
            self._ended.set()


def _reason(error: BaseException) -> str:
    if isinstance(error, StopAsyncIteration):
        return "the broker hung up"
    return "the broker does not answer" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
