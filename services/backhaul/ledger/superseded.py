"""Results that came too late: their tasks have ended otherwise, and that stands. They are kept, and never shown."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from backhaul.core.clock import Clock
from backhaul.core.messages import topology
from backhaul.core.ports.broker import Broker, Message
from backhaul.core.task.record import Record
from backhaul.core.task.transitions import Change, Refusal
from backhaul_contracts.envelope import CLOUDEVENT_BATCH
from backhaul_contracts.messages import Lapsed, Reported, write_batch
from backhaul_contracts.reports import Ruling, SucceededReport
from backhaul_contracts.tasks import Status
from backhaul_contracts.wire import format_time

REASON = "superseded"

_log = logging.getLogger("backhaul.ledger")


@dataclass(frozen=True, slots=True)
class Late:
    """A result, and the task as it had ended by then."""

    report: SucceededReport
    record: Record

    def __str__(self) -> str:
        ended = " ".join(filter(None, (self.record.status, self.record.cancel_outcome)))
        return f"attempt {self.report.attempt} of task {self.record.id} has a result, but the task is {ended}"


def late_results(judged: Iterable[tuple[Reported | Lapsed, Change | Refusal]]) -> list[Late]:
    """Those among refused reports. The repeat of a result that counts is none, nor is one that another attempt is
    still to outdo."""
    return [
        Late(message.data, verdict.record)
        for message, verdict in judged
        if isinstance(verdict, Refusal)
        and verdict.ruling is Ruling.STALE
        and verdict.record is not None
        and verdict.record.status.done
        and verdict.record.status is not Status.SUCCEEDED
        and isinstance(message.data, SucceededReport)
    ]


class Superseded:
    """Sets late results aside, among the dead letters, where operators list, read and delete them."""

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._broker = broker
        self._clock = clock
        self.kept = 0

    async def keep(self, late: Sequence[Late]) -> None:
        """Return when they are kept. Raises `BrokerUnavailable`."""
        if not late:
            return
        for each in late:
            _log.warning("%s: it is kept as superseded", each)
        now = self._clock.now()
        await self._broker.publish([_letter(each, now) for each in late])
        self.kept += len(late)


def _letter(late: Late, now: datetime) -> Message:
    report = late.report
    return Message(
        exchange="",
        routing_key=topology.DEAD,
        body=write_batch("/backhaul/ledger", Reported, [report.model_copy(update={"token": REASON})]),
        content_type=CLOUDEVENT_BATCH,
        message_id=f"{report.task_id}-{report.attempt}-{REASON}",
        headers={
            "bh-reason": REASON,
            "bh-detail": f"{late}.",
            "bh-exchange": topology.REPORTS,
            "bh-routing-key": str(topology.shard(report.task_id)),
            "bh-time": format_time(now),
        },
    )
