"""A store and a broker in a few lines, with switches for what real ones do only under stress."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from backhaul.core.apikeys import ApiKey
from backhaul.core.clock import Clock
from backhaul.core.errors import BrokerUnavailable, StoreUnavailable
from backhaul.core.messages import topology
from backhaul.core.ports.broker import Message
from backhaul.core.ports.dispatch import Dispatch, Happening
from backhaul.core.ports.store import Admission, Granted, Leases, Listed, TaskQuery
from backhaul.core.task import transitions
from backhaul.core.task.commands import Command
from backhaul.core.task.record import Draft, Event, Record, Snapshot
from backhaul.core.task.transitions import Change, Lease, Refusal, Rules
from backhaul_contracts.beats import Beat
from backhaul_contracts.claims import Claim, Verdict
from backhaul_contracts.ids import LeaseToken, TaskId, WorkerId
from backhaul_contracts.kinds import KindSpec
from backhaul_contracts.listings import RefusedAnnouncement, WorkerInfo
from backhaul_contracts.reports import Ruling
from backhaul_contracts.tasks import Status


@dataclass
class FakeStore:
    """Tasks in a dictionary. `down`: every call fails, `failing`: these; `silent`: none is answered, until `speak`."""

    clock: Clock
    specs: list[KindSpec] = field(default_factory=list)
    tasks: dict[TaskId, Snapshot] = field(default_factory=dict)
    log: dict[TaskId, list[Event]] = field(default_factory=dict)
    prints: dict[TaskId, str | None] = field(default_factory=dict)
    keys: list[ApiKey] = field(default_factory=list)
    known_workers: list[WorkerInfo] = field(default_factory=list)
    down: bool = False
    failing: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    rules: Rules = field(default_factory=lambda: Rules(retention=timedelta(hours=24), draw=lambda: 0.5))
    _answers: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._answers.set()

    def fall_silent(self) -> None:
        self._answers.clear()

    def speak(self) -> None:
        self._answers.set()

    async def _called(self, name: str) -> None:
        self.calls.append(name)
        await self._answers.wait()
        if self.down or name in self.failing:
            raise StoreUnavailable("the database is switched off")

    async def ping(self) -> None:
        await self._called("ping")

    async def api_keys(self) -> list[ApiKey]:
        await self._called("api_keys")
        return self.keys

    async def kinds(self) -> list[KindSpec]:
        await self._called("kinds")
        return self.specs

    async def refusals(self) -> dict[str, RefusedAnnouncement]:
        return {}

    async def workers(self) -> list[WorkerInfo]:
        await self._called("workers")
        return self.known_workers

    async def accept(self, drafts: Sequence[Draft]) -> tuple[list[Admission], Dispatch]:
        await self._called("accept")
        happenings: list[Happening] = []
        return [self._admit(draft, happenings) for draft in drafts], Dispatch("out", (), tuple(happenings))

    def _admit(self, draft: Draft, happenings: list[Happening]) -> Admission:
        record = draft.record
        for other in self.tasks.values():
            if record.key is not None and (other.record.key, other.record.tenant) == (record.key, record.tenant):
                return Admission(other, replayed=True, conflict=self.prints[other.record.id] != draft.fingerprint)
        self.prints[record.id] = draft.fingerprint
        self._apply(transitions.accept(draft), draft.input, happenings)
        return Admission(self.tasks[record.id])

    async def advance(self, commands: Sequence[Command]) -> tuple[list[Change | Refusal], Dispatch]:
        await self._called("advance")
        happenings: list[Happening] = []
        results: list[Change | Refusal] = []
        for command in commands:
            task = self.tasks.get(TaskId(command.task_id))
            if task is None:
                results.append(Refusal(None, Ruling.STALE))
                continue
            result = transitions.advance(task.record, command, self.clock.now(), self.rules)
            if isinstance(result, Change):
                self._apply(result, task.input, happenings)
            results.append(result)
        return results, Dispatch("out", (), tuple(happenings))

    async def beat(self, beats: Sequence[Beat], lease: timedelta) -> list[Leases]:
        return [Leases(beat.worker_id, known=True) for beat in beats]

    async def claim(self, claims: Sequence[Claim], lease: timedelta) -> tuple[list[Granted], Dispatch]:
        happenings: list[Happening] = []
        return [self._grant(claim, happenings) for claim in claims], Dispatch("out", (), tuple(happenings))

    def _grant(self, claim: Claim, happenings: list[Happening]) -> Granted:
        waiting = [task for task in self.tasks.values() if task.record.status is Status.QUEUED]
        granted = []
        for task in waiting[: claim.limit]:
            lease = Lease(WorkerId(claim.worker_id), claim.claim_id, 0, LeaseToken(f"token of {claim.claim_id}"))
            change = transitions.claim(task.record, lease, self.clock.now())
            assert isinstance(change, Change)
            self._apply(change, task.input, happenings)
            granted.append(self.tasks[task.record.id])
        return Granted(claim.claim_id, Verdict.GRANTED if granted else Verdict.EMPTY, tuple(granted))

    def _apply(self, change: Change, input: object, happenings: list[Happening]) -> None:
        before = self.tasks.get(change.record.id)
        result = change.result if change.result is not None else before and before.result
        self.tasks[change.record.id] = Snapshot(change.record, input, result)  # type: ignore[arg-type]
        self.log.setdefault(change.record.id, []).extend(change.events)
        happenings.extend(Happening(change.record, event) for event in change.events)

    async def snapshot(self, tenant: str, task_id: TaskId) -> Snapshot | None:
        await self._called("snapshot")
        task = self.tasks.get(task_id)
        return task if task is not None and task.record.tenant == tenant else None

    async def snapshots(self, task_ids: Sequence[TaskId]) -> list[Snapshot]:
        await self._called("snapshots")
        return [self.tasks[task_id] for task_id in task_ids if task_id in self.tasks]

    async def records(self, task_ids: Sequence[TaskId]) -> list[Record]:
        await self._called("records")
        return [self.tasks[task_id].record for task_id in task_ids if task_id in self.tasks]

    async def events(self, task_id: TaskId, after: int, limit: int) -> list[Event]:
        await self._called("events")
        return [event for event in self.log.get(task_id, []) if event.seq > after][:limit]

    async def seqs(self, task_ids: Sequence[TaskId]) -> dict[TaskId, int]:
        await self._called("seqs")
        return {task_id: self.tasks[task_id].record.seq for task_id in task_ids if task_id in self.tasks}

    async def find(self, query: TaskQuery) -> Listed:
        await self._called("find")
        found = [task for task in self.tasks.values() if query.before is None or task.record.id < query.before]
        newest = sorted(found, key=lambda task: task.record.id, reverse=True)
        page = newest[: query.limit]
        return Listed(page, before=page[-1].record.id if len(newest) > len(page) else None)

    async def forget(self, tenant: str, task_id: TaskId) -> Record | None:
        await self._called("forget")
        task = self.tasks.get(task_id)
        if task is not None and task.record.status.done:
            del self.tasks[task_id], self.log[task_id]
        return None if task is None else task.record

    async def settle(self, outbox_ids: Sequence[str]) -> None:
        await self._called("settle")


@dataclass
class FakeDelivery:
    body: bytes
    message_id: str | None = None

    def ack(self) -> None:
        """Nothing is kept here."""


class FakeSubscription:
    async def cancel(self) -> None:
        """Nothing is delivered but by the fake itself."""


@dataclass
class FakeBroker:
    """Keeps what is published, and delivers to the live mailbox unless `lossy`."""

    blocked: str | None = None
    refuses: str | None = None
    connected: bool = True
    lossy: bool = False
    published: list[Message] = field(default_factory=list)
    declared: list[topology.Topology] = field(default_factory=list)
    _ears: list[Callable[[FakeDelivery], None]] = field(default_factory=list)
    _reconnected: list[Callable[[], None]] = field(default_factory=list)

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        self._reconnected.append(callback)

    def reconnect(self) -> None:
        self.connected = True
        for callback in self._reconnected:
            callback()

    async def declare(self, wanted: topology.Topology) -> None:
        self._refuse_if_down()
        self.declared.append(wanted)

    async def consume(
        self, queue: str, on_delivery: Callable[[FakeDelivery], None], *, credit: int
    ) -> FakeSubscription:
        self._refuse_if_down()
        self._ears.append(on_delivery)
        return FakeSubscription()

    async def publish(self, messages: Sequence[Message]) -> None:
        self._refuse_if_down()
        self.published.extend(messages)
        for message in messages:
            if message.exchange == topology.LIVE and not self.lossy:
                self.deliver(message.body)

    def deliver(self, body: bytes) -> None:
        for ear in self._ears:
            ear(FakeDelivery(body))

    def _refuse_if_down(self) -> None:
        if not self.connected:
            raise BrokerUnavailable("the broker is switched off")
