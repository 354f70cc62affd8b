"""Handling deliveries one by one, several at a time: acknowledged when handled, given back when that failed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from backhaul.core.clock import Clock
from backhaul.core.ports.broker import Delivery

_log = logging.getLogger("backhaul.broker")

PAUSE = timedelta(seconds=1)


class Subscriber:
    """Runs `handle` for each delivery, as a task of its own."""

    def __init__(self, handle: Callable[[Delivery], Awaitable[None]], clock: Clock) -> None:
        self._handle = handle
        self._clock = clock
        self._running: set[asyncio.Task[None]] = set()

    def __call__(self, delivery: Delivery) -> None:
        task = asyncio.get_running_loop().create_task(self._run(delivery))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def stop(self) -> None:
        """Cancel what runs; those deliveries go back."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, delivery: Delivery) -> None:
        try:
            await self._handle(delivery)
        except asyncio.CancelledError:
            delivery.requeue()
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the message must not be lost
            _log.warning("a delivery of %s goes back to its queue: %s", delivery.routing_key, error)
            await self._clock.sleep(PAUSE)
            delivery.requeue()
        else:
            delivery.ack()
