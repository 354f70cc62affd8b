"""Sending reports: one loop for all attempts of a worker."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

from backhaul.core.complaints import Complaints
from backhaul.core.errors import BrokerUnavailable
from backhaul.core.ports.broker import Broker, Message
from backhaul.worker.reporting.batch import Batch
from backhaul.worker.reporting.reports import Reports
from backhaul.worker.timers import Timers

_log = logging.getLogger("backhaul.worker")

_PAUSE = timedelta(seconds=1)
_REPORTING = "the publishing of reports"
_HOLD_SECONDS = 0.05
_MOST_MESSAGES = 16


class Sender:
    """Publishes what is unsent, in order. What arrives while a publish is under way forms the next one.

    Text alone waits for more of it, for at most 50 ms, the first piece not at all. `on_sent` hears of reports that are
    about to be sent, `on_failed` that everything on its way may be lost.
    """

    def __init__(
        self,
        broker: Broker,
        timers: Timers,
        worker_id: str,
        on_sent: Callable[[Reports], None],
        on_failed: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._timers = timers
        self._worker_id = worker_id
        self._on_sent = on_sent
        self._on_failed = on_failed
        self._unsent: dict[Reports, None] = {}
        self._arrived = asyncio.Event()
        self._reconnected = asyncio.Event()
        self._complaints = Complaints(_log, logging.WARNING)

    def send(self, reports: Reports) -> None:
        """Send what is unsent of these."""
        self._unsent[reports] = None
        self._arrived.set()

    def hold(self, reports: Reports) -> bool:
        """Whether a first piece of text waits for more of it: not if the one before went a while ago."""
        loop = asyncio.get_running_loop()
        if loop.time() >= reports.hold_until:
            reports.hold_until = loop.time() + _HOLD_SECONDS
            return False
        loop.call_at(reports.hold_until, self._release, reports)
        return True

    def forget(self, reports: Reports) -> None:
        self._unsent.pop(reports, None)

    def reconnected(self) -> None:
        """The connection is back: wait no longer."""
        self._reconnected.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            try:
                await self._broker.publish(self._messages())
            except BrokerUnavailable as error:
                self._complaints.begin(_REPORTING, f"reports are not published, and are kept to be sent again: {error}")
                await self._pause()
                self._on_failed()
            else:
                self._complaints.settle(_REPORTING)

    async def _pause(self) -> None:
        """Until the connection is back, or for a second."""
        self._reconnected.clear()
        timer = self._timers.after(_PAUSE, self._reconnected.set)
        await self._reconnected.wait()
        self._timers.cancel(timer)

    def _release(self, reports: Reports) -> None:
        reports.hold_until = asyncio.get_running_loop().time() + _HOLD_SECONDS
        if not reports.empty:
            self.send(reports)

    def _messages(self) -> list[Message]:
        """What is unsent, as batches; what is too much for one publish stays for the next."""
        messages: list[Message] = []
        batch = Batch(self._worker_id)
        while self._unsent and len(messages) < _MOST_MESSAGES:
            reports = next(iter(self._unsent))
            self._fill(batch, reports)
            if batch.full:
                messages.append(batch.message())
                batch = Batch(self._worker_id)
            else:
                del self._unsent[reports]
        if batch:
            messages.append(batch.message())
        if self._unsent:
            self._arrived.set()
        return messages

    def _fill(self, batch: Batch, reports: Reports) -> None:
        self._on_sent(reports)
        while not batch.full and (kept := reports.next_unsent()) is not None:
            batch.add(reports, kept)
