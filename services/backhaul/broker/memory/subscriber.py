"""Subscribing in memory: handlers run in tasks, and settle when they are done."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from backhaul.core.clock import Clock
from backhaul.core.errors import BackhaulError
from backhaul.core.ports.broker import Delivery

PAUSE = timedelta(seconds=1)
"""How long a delivery is kept back after its handler failed."""

log = logging.getLogger(__name__)


class Handling:
    """Runs one handler for each delivery of a queue; `close` cancels those that run."""

    def __init__(self, queue: str, handle: Callable[[Delivery], Awaitable[None]], clock: Clock) -> None:
        self._queue = queue
        self._handle = handle
        self._clock = clock
        self._running: set[asyncio.Task[None]] = set()

    def take(self, delivery: Delivery) -> None:
        task = asyncio.get_running_loop().create_task(self._run(delivery))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    async def _run(self, delivery: Delivery) -> None:
        try:
            await self._handle(delivery)
        except BackhaulError as error:
            log.warning("a message of %s goes back to it: %s", self._queue, error)
        except Exception:  # whatever it is, the message must not be lost
            log.exception("a message of %s goes back to it: its handler failed", self._queue)
        else:
            delivery.ack()
            return
        await self._clock.sleep(PAUSE)
        delivery.requeue()
