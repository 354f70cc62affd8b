"""What the streams of many tasks need to know of a task: whose it is, and what it may be chosen by."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from backhaul.core.ports.store import Store
from backhaul.core.task.record import Record
from backhaul.gateway.patience import answered
from backhaul_contracts import codec
from backhaul_contracts.ids import TaskId

_MOST = 4_096


@dataclass(frozen=True, slots=True)
class Subject:
    """What never changes of a task."""

    tenant: str
    kind: str
    queue: str
    key: str | None
    parent_id: str | None
    metadata: Mapping[str, str]
    scheduled: bool
    """Whether it was accepted for a later time."""


class Subjects:
    """Asks the store once for each task, and remembers the answers for those it was asked for last."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[str, Subject] = OrderedDict()

    async def of(self, task_ids: Iterable[str]) -> Mapping[str, Subject]:
        """Those of the tasks that exist. Raises `StoreUnavailable`."""
        wanted = dict.fromkeys(task_ids)
        found = {task_id: self._known[task_id] for task_id in wanted if task_id in self._known}
        unknown = [TaskId(task_id) for task_id in wanted if task_id not in found]
        if unknown:
            found |= {record.id: _subject(record) for record in await answered(self._store.records(unknown))}
        self._remember(found)
        return found

    def _remember(self, found: Mapping[str, Subject]) -> None:
        for task_id, subject in found.items():
            self._known[task_id] = subject
            self._known.move_to_end(task_id)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)


def _subject(record: Record) -> Subject:
    return Subject(
        tenant=record.tenant,
        kind=record.kind,
        queue=record.queue,
        key=record.key,
        parent_id=record.parent_id,
        metadata=codec.loads(record.metadata),
        scheduled=record.scheduled_for is not None,
    )
