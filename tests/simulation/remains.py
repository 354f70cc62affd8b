"""What is left at the end: read from store and broker directly, past every process."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from backhaul.broker.memory import Hub
from backhaul.core.messages import topology
from backhaul.core.ports.store import TaskQuery
from backhaul.core.task.record import Event, Snapshot
from backhaul.store import SqlStore
from backhaul.store.schema import IS_HELD, IS_PENDING, deliveries, outbox, states
from backhaul_contracts import codec
from backhaul_contracts.tasks import TERMINAL
from tests.proof.observations import LOST, FinalTask, LoggedEvent, Remains
from tests.simulation.witness import Witness, digest

_MOST = 200
_KEPT = frozenset({topology.DEAD, topology.INVALID, topology.UNROUTED})
_EXPECTED = {topology.DEAD: {"superseded"}, topology.INVALID: {"idempotency_key_reused"}, topology.UNROUTED: set()}
"""Why a message may be set aside in a simulation."""
_LEFT = select(
    select(func.count()).select_from(outbox).scalar_subquery(),
    select(func.count()).select_from(states).where(IS_HELD).scalar_subquery(),
    select(func.count()).select_from(states).where(states.c.status.not_in(sorted(TERMINAL))).scalar_subquery(),
    select(func.count()).select_from(deliveries).where(IS_PENDING).scalar_subquery(),
)


class Remainder:
    """`keys`: those of all tasks, once collected."""

    def __init__(self, store: SqlStore, hub: Hub, witness: Witness) -> None:
        self.keys: set[str | None] = set()
        self._store = store
        self._hub = hub
        self._witness = witness

    async def quiet(self) -> bool:
        """Whether nothing is left to be done."""
        messages = self._messages()
        return not any(await self._store._runner.read(_left)) and messages.keys() <= _KEPT

    async def collect(self) -> None:
        """Write down every task with its log, and what is left beside them."""
        for snapshot in (await self._store.find(TaskQuery(tenant="default", limit=_MOST))).tasks:
            record = snapshot.record
            self.keys.add(record.key)
            self._witness.see(_final(snapshot))
            for event in await self._store.events(record.id, 0, 10_000):
                self._witness.see(_logged(event))
        owed, held, *_ = await self._store._runner.read(_left)
        self._look_at_what_was_set_aside()
        self._witness.see(Remains(outbox=owed, leases=held, queues=self._messages()))

    def _look_at_what_was_set_aside(self) -> None:
        for name, reasons in _EXPECTED.items():
            queue = self._hub.queue(name)
            for stored in queue._ready if queue is not None else ():
                if stored.headers.get("bh-reason") not in reasons:
                    self._witness.broken.append(f"{name} has {stored.headers}: {stored.message.body[:500]!r}")

    def _messages(self) -> Counter[str]:
        """Messages, waiting or delivered, in every queue that must be empty in the end or whose content is a fault."""
        left: Counter[str] = Counter()
        for name, queue in self._hub._queues.items():
            if len(queue) and not queue.spec.owned:
                left[name] += len(queue)
        for client in self._hub.clients:
            for consumer in client._consumers:  # type: ignore[attr-defined]
                held = len(consumer._held)
                if held and not consumer._name.startswith(("backhaul.replies", "backhaul.control", "backhaul.live")):
                    left[consumer._name] += held
        return left


def _left(connection: Connection) -> Sequence[int]:
    return connection.execute(_LEFT).one()


def _final(snapshot: Snapshot) -> FinalTask:
    record = snapshot.record
    return FinalTask(
        task_id=record.id,
        kind=record.kind,
        queue=record.queue,
        status=record.status,
        attempt=record.attempt,
        seq=record.seq,
        key=record.key,
        failures=record.failures,
        max_attempts=record.max_attempts,
        result_hash=None if snapshot.result is None else digest(codec.loads(snapshot.result)),
        held_by=record.worker_id,
        origin=record.parent_id or record.replay_of,
    )


def _logged(event: Event) -> LoggedEvent:
    from datetime import datetime

    data = codec.loads(event.data)
    said = _said(event.type, data)
    strangers = (attempt for attempt, _ in said if attempt != event.attempt)
    due = data.get("retry_at") or data.get("scheduled_for")
    return LoggedEvent(
        task_id=event.task_id,
        seq=event.seq,
        attempt=event.attempt,
        type=event.type,
        at=event.time,
        worker=data.get("worker_id") if event.type == "task.started" else None,
        due=datetime.fromisoformat(due) if due else None,
        digest=digest(data),
        numbers=tuple(number for _, number in said),
        said_by=next(strangers, event.attempt) if said else None,
        lost=(data.get("error") or {}).get("code") in LOST,
    )


def _said(type_: str, data: Any) -> list[tuple[int, int]]:
    """What the handler said, as attempt and number; joined pieces of text are several."""
    if type_ == "task.progress":
        return [(int(data["note"]), int(data["done"]))]
    if type_ == "task.log":
        return [(data["fields"]["attempt"], data["fields"]["n"])] if "n" in data["fields"] else []
    if type_ != "task.output":
        return []
    delta = data["delta"]
    if isinstance(delta, str):
        return [(int(attempt), int(number)) for attempt, number in re.findall(r"(\d+)\.(\d+)", delta)]
    return [(delta["attempt"], delta["n"])]
