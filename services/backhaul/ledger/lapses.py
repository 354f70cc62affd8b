"""Lapses: that an attempt may be over for lack of its worker, on its way to whoever decides that."""

from collections.abc import Iterable

from backhaul.core.messages import topology
from backhaul.core.ports.broker import Message
from backhaul.core.task.commands import Lose
from backhaul_contracts.envelope import CLOUDEVENT_BATCH
from backhaul_contracts.messages import Lapsed, write_batch
from backhaul_contracts.reports import Lapse


def lapse_messages(source: str, lost: Iterable[Lose]) -> list[Message]:
    """One for each attempt, through the shard of its task, so that it is read behind reports in flight."""
    return [_message(source, lose) for lose in lost]


def _message(source: str, lose: Lose) -> Message:
    return Message(
        exchange=topology.REPORTS,
        routing_key=str(topology.shard(lose.task_id)),
        body=write_batch(source, Lapsed, [Lapse(task_id=lose.task_id, attempt=lose.attempt)]),
        content_type=CLOUDEVENT_BATCH,
    )
