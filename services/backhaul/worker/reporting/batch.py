"""A batch of reports on its way: one message for many attempts, and for every shard that they belong to."""

from backhaul.core.messages import topology
from backhaul.core.ports.broker import Message
from backhaul.worker.reporting.kept import Kept
from backhaul.worker.reporting.reports import Reports
from backhaul_contracts.envelope import CLOUDEVENT_BATCH
from backhaul_contracts.ids import new_id

FULL = 256 * 1024


class Batch:
    """CloudEvents of the type `Reported`, as `backhaul_contracts.messages.SHARD` reads them."""

    def __init__(self, worker_id: str) -> None:
        self._worker_id = worker_id
        self._head = (
            f'{{"specversion":"1.0","source":"/backhaul/workers/{worker_id}",'
            f'"type":"dev.backhaul.worker.report","id":"{new_id("msg")}-'
        ).encode()
        self._events: list[bytes] = []
        self._shards: dict[str, None] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._events)

    @property
    def full(self) -> bool:
        return self._size >= FULL

    def add(self, reports: Reports, kept: Kept) -> None:
        body = kept.freeze()
        event = b'%b%d","data":{%b%d,%b}}' % (self._head, len(self._events), reports.head, kept.number, body)
        self._events.append(event)
        self._size += len(event)
        self._shards[reports.shard] = None

    def message(self) -> Message:
        first, *others = self._shards
        return Message(
            exchange=topology.REPORTS,
            routing_key=first,
            copies_to=tuple(others),
            body=b"[%b]" % b",".join(self._events),
            content_type=CLOUDEVENT_BATCH,
            reply_to=self._worker_id,
        )
