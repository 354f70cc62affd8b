"""The reporter: keeps the reports of every attempt until the ledger says that they are recorded."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

from backhaul.core.ports.broker import Broker
from backhaul.worker.attempts.failures import printable
from backhaul.worker.patience import Patience
from backhaul.worker.reporting import bodies
from backhaul.worker.reporting.kept import Weight
from backhaul.worker.reporting.reports import Reports
from backhaul.worker.reporting.sender import Sender
from backhaul.worker.timers import Timers
from backhaul_contracts.failures import Failure, FailureCode
from backhaul_contracts.reports import Recorded, Ruling

_log = logging.getLogger("backhaul.worker")

PATIENCE = timedelta(seconds=5)
_SAME_GAP = timedelta(seconds=1)
_CONGESTED = 64 * 1024 * 1024

OnOver = Callable[[tuple[str, int], Ruling], None]


class Reporter:
    """Reports are sent again when they are unanswered for five seconds, and after a reconnect.

    `on_over` hears of attempts that are over: wholly recorded, stale, or refused (then a failure is on its way as
    their outcome).
    """

    def __init__(self, broker: Broker, timers: Timers, worker_id: str, on_over: OnOver) -> None:
        self._timers = timers
        self._on_over = on_over
        self._patience: Patience[Reports] = Patience(timers, PATIENCE, self._send_again)
        self._sender = Sender(broker, timers, worker_id, on_sent=self._patience.expect, on_failed=self._send_all_again)
        self._open: dict[tuple[str, int], Reports] = {}
        self._weight = Weight()
        self._eased = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()

    def open(self, task_id: str, attempt: int, token: str) -> Reports:
        """The reports of a new attempt, empty."""
        reports = Reports(task_id, attempt, token, self._weight, self._sender.send, self._sender.hold)
        self._open[reports.key] = reports
        self._settled.clear()
        return reports

    def forget(self, reports: Reports) -> None:
        """The attempt is over: nothing of it will be recorded any more."""
        reports.drop()
        self._sender.forget(reports)
        self._patience.forget(reports)
        self._open.pop(reports.key, None)
        self._ease()
        if not self._open:
            self._settled.set()

    @property
    def unrecorded_bytes(self) -> int:
        """How much is kept until it is recorded."""
        return self._weight.bytes

    async def run(self) -> None:
        """Send reports until cancelled."""
        await self._sender.run()

    async def settled(self) -> None:
        """Return when nothing is left to be recorded."""
        await self._settled.wait()

    async def roomy(self) -> None:
        """Return when what waits to be recorded is not too much to take on new work."""
        while self._weight.bytes > _CONGESTED:
            self._eased.clear()
            await self._eased.wait()

    def reconnected(self) -> None:
        """What was on its way may be lost: send everything again that is not recorded."""
        self._send_all_again()
        self._sender.reconnected()

    def answered(self, answer: Recorded) -> None:
        """What the ledger says of one attempt's reports. An answer that comes too late changes nothing."""
        reports = self._open.get((answer.task_id, answer.attempt))
        if reports is None:
            return
        if answer.ruling is Ruling.STALE:
            self.forget(reports)
            self._on_over(reports.key, Ruling.STALE)
        elif answer.number >= reports.recorded:
            self._patience.forget(reports)
            reports.record(answer.number)
            _RULINGS[answer.ruling](self, reports, answer)
            if reports.unanswered:
                self._patience.expect(reports)
            self._ease()

    def _recorded(self, reports: Reports, answer: Recorded) -> None:
        reports.gap_at = None
        if reports.probing:
            reports.probing = False
            reports.rewind(answer.number)
        if reports.closed and reports.empty:
            self.forget(reports)
            self._on_over(reports.key, Ruling.RECORDED)

    def _gap(self, reports: Reports, answer: Recorded) -> None:
        """One loss makes many gaps, since everything behind it shows it: only the first one is followed."""
        now = self._timers.now()
        if reports.gap_at is not None and now - reports.gap_at < _SAME_GAP.total_seconds():
            return
        reports.probing = reports.gap_at is not None
        reports.gap_at = now
        reports.rewind(answer.number)

    def _refused(self, reports: Reports, answer: Recorded) -> None:
        if reports.refused:
            return
        detail = printable(answer.detail or "the ledger gave no reason")
        _log.warning("task %s, attempt %d: a report cannot be recorded: %s", *reports.key, detail)
        failure = Failure(code=FailureCode.HANDLER_ERROR, title="A report cannot be recorded", detail=detail)
        reports.refuse(answer.number, bodies.failed(failure))
        self._on_over(reports.key, Ruling.REFUSED)

    def _send_again(self, reports: Reports) -> None:
        reports.rewind(reports.recorded)

    def _send_all_again(self) -> None:
        for reports in self._open.values():
            self._send_again(reports)

    def _ease(self) -> None:
        if self._weight.bytes <= _CONGESTED:
            self._eased.set()


_RULINGS: dict[Ruling, Callable[[Reporter, Reports, Recorded], None]] = {
    Ruling.RECORDED: Reporter._recorded,  # noqa: SLF001 - a table of its own methods
    Ruling.GAP: Reporter._gap,  # noqa: SLF001
    Ruling.REFUSED: Reporter._refused,  # noqa: SLF001
}
