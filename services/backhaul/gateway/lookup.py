"""Finding a task for a tenant, and saying why it is not there."""

from datetime import timedelta

from backhaul.core.clock import Clock, to_ms
from backhaul.core.errors import Rejected
from backhaul.core.ports.store import Store
from backhaul.core.record import Snapshot
from backhaul.gateway.patience import answered
from backhaul_contracts.ids import TaskId, is_task_id, made_at_ms
from backhaul_contracts.problems import ProblemCode


class Lookup:
    """Reads tasks by id. The task of another tenant is as good as none."""

    def __init__(self, store: Store, clock: Clock, retention: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._retention = retention

    async def task(self, tenant: str, task_id: str) -> Snapshot:
        """The task as it is now. Raises `Rejected` (`not_found`, or `gone` for an id older than what is kept)."""
        if not is_task_id(task_id):
            raise self.missing(task_id)
        snapshot = await answered(self._store.snapshot(tenant, TaskId(task_id)))
        if snapshot is None:
            raise self.missing(task_id)
        return snapshot

    def missing(self, task_id: str) -> Rejected:
        """Why there is no such task. Ids carry the time they were made at, so nothing is kept of what was deleted."""
        if not is_task_id(task_id):
            return Rejected(ProblemCode.NOT_FOUND, f"{task_id!r} is not the id of a task.")
        age = timedelta(milliseconds=to_ms(self._clock.now()) - made_at_ms(task_id))
        if age > self._retention:
            return Rejected(ProblemCode.GONE, "The task is older than what is kept here.", task_id=task_id)
        return Rejected(ProblemCode.NOT_FOUND, f"There is no task {task_id}.", task_id=task_id)
