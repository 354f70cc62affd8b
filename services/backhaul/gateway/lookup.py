"""Finding a task for a tenant, and saying why it is not there."""

from collections.abc import Sequence
from datetime import timedelta

from backhaul.core.batching import Batcher
from backhaul.core.clock import Clock, to_ms
from backhaul.core.errors import Rejected
from backhaul.core.ports.store import Store
from backhaul.core.task.record import Snapshot
from backhaul.gateway.patience import answered
from backhaul_contracts.ids import TaskId, is_task_id, made_at_ms
from backhaul_contracts.problems import ProblemCode

_TOGETHER = 100


class Lookup:
    """Reads tasks by id; who asks during one read shares the next. The task of another tenant is as good as none."""

    def __init__(self, store: Store, clock: Clock, retention: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._retention = retention
        self._reads: Batcher[TaskId, Snapshot | None] = Batcher(self._read, limit=_TOGETHER)

    async def run(self) -> None:
        """Read what is asked for, until cancelled."""
        await self._reads.run()

    async def task(self, tenant: str, task_id: str) -> Snapshot:
        """The task as it is now. Raises `Rejected` (`not_found`, or `gone` for an id older than what is kept)."""
        if not is_task_id(task_id):
            raise self.missing(task_id)
        snapshot = await answered(self._reads.submit(TaskId(task_id)))
        if snapshot is None or snapshot.record.tenant != tenant:
            raise self.missing(task_id)
        return snapshot

    async def _read(self, task_ids: Sequence[TaskId]) -> Sequence[Snapshot | None]:
        found = await answered(self._store.snapshots(list(dict.fromkeys(task_ids))))
        by_id = {snapshot.record.id: snapshot for snapshot in found}
        return [by_id.get(task_id) for task_id in task_ids]

    def missing(self, task_id: str) -> Rejected:
        """Why there is no such task. Ids carry the time they were made at, so nothing is kept of what was deleted."""
        if not is_task_id(task_id):
            return Rejected(ProblemCode.NOT_FOUND, f"{task_id!r} is not the id of a task.")
        age = timedelta(milliseconds=to_ms(self._clock.now()) - made_at_ms(task_id))
        if age > self._retention:
            return Rejected(ProblemCode.GONE, "The task is older than what is kept here.", task_id=task_id)
        return Rejected(ProblemCode.NOT_FOUND, f"There is no task {task_id}.", task_id=task_id)
