"""The store: each method of the port is one function over a connection, run as one transaction."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import partial

from backhaul.core.apikeys import ApiKey
from backhaul.core.census import Census
from backhaul.core.ports.dispatch import Children, Dispatch
from backhaul.core.ports.store import Admission, Granted, KindId, Leases, Listed, TaskQuery
from backhaul.core.task.commands import Command, Lose
from backhaul.core.task.record import Draft, Event, Record, Snapshot
from backhaul.core.task.transitions import Change, Refusal, Rules
from backhaul.store import (
    accepting,
    advancing,
    apikeys,
    census,
    claiming,
    debts,
    kinds,
    leases,
    listing,
    queues,
    reading,
    retention,
    standing,
    timekeeping,
)
from backhaul.store.runner import Runner
from backhaul.store.webhooks import SqlWebhookStore
from backhaul_contracts.beats import Beat
from backhaul_contracts.claims import Claim
from backhaul_contracts.ids import TaskId
from backhaul_contracts.kinds import KindSpec, RefusedKind
from backhaul_contracts.listings import QueueInfo, RefusedAnnouncement, WorkerInfo


class SqlStore(SqlWebhookStore):
    """`backhaul.core.ports.store.Store` on a SQL database. What is asked for nothing goes to no database."""

    def __init__(self, runner: Runner, rules: Rules) -> None:
        self._runner = runner
        self._rules = rules

    @property
    def failures(self) -> int:
        return self._runner.failures

    async def start(self) -> None:
        await self._runner.start()

    async def stop(self) -> None:
        await self._runner.stop()

    async def ping(self) -> None:
        await self._runner.ping()

    async def accept(self, drafts: Sequence[Draft]) -> tuple[list[Admission], Dispatch]:
        if not drafts:
            return [], Dispatch()
        return await self._runner.transact(partial(accepting.accept, drafts=drafts, rules=self._rules))

    async def advance(self, commands: Sequence[Command]) -> tuple[list[Change | Refusal], Dispatch]:
        if not commands:
            return [], Dispatch()
        return await self._runner.transact(partial(advancing.advance, commands=commands, rules=self._rules))

    async def abandon(self, children: Sequence[Children]) -> Dispatch:
        return await self._runner.transact(partial(advancing.abandon, children=children, rules=self._rules))

    async def claim(self, claims: Sequence[Claim], lease: timedelta) -> tuple[list[Granted | None], Dispatch]:
        if not claims:
            return [], Dispatch()
        return await self._runner.transact(partial(claiming.claim, claims=claims, lease=lease))

    async def beat(self, beats: Sequence[Beat], lease: timedelta) -> list[Leases]:
        if not beats:
            return []
        return await self._runner.transact(partial(leases.beat, beats=beats, lease=lease))

    async def snapshot(self, tenant: str, task_id: TaskId) -> Snapshot | None:
        return await self._runner.read(partial(reading.snapshot, tenant=tenant, task_id=task_id))

    async def snapshots(self, task_ids: Sequence[TaskId]) -> list[Snapshot]:
        return await self._runner.read(partial(reading.snapshots, task_ids=task_ids))

    async def records(self, task_ids: Sequence[TaskId]) -> list[Record]:
        if not task_ids:
            return []
        return await self._runner.read(partial(reading.records, task_ids=task_ids))

    async def events(self, task_id: TaskId, after: int, limit: int) -> list[Event]:
        return await self._runner.read(partial(reading.read_events, task_id=task_id, after=after, limit=limit))

    async def seqs(self, task_ids: Sequence[TaskId]) -> dict[TaskId, int]:
        if not task_ids:
            return {}
        return await self._runner.read(partial(reading.seqs, task_ids=task_ids))

    async def unfinished(self, task_ids: Sequence[TaskId]) -> set[TaskId]:
        if not task_ids:
            return set()
        return await self._runner.read(partial(reading.unfinished, task_ids=task_ids))

    async def find(self, query: TaskQuery) -> Listed:
        return await self._runner.read(partial(listing.find, query=query))

    async def forget(self, tenant: str, task_id: TaskId) -> Record | None:
        return await self._runner.transact(partial(retention.forget, tenant=tenant, task_id=task_id))

    async def overdue(self, limit: int) -> list[Command]:
        return await self._runner.read(partial(timekeeping.overdue, limit=limit))

    async def now(self) -> datetime:
        return await self._runner.read(timekeeping.now)

    async def lapsed(self, limit: int) -> list[Lose]:
        return await self._runner.read(partial(leases.lapsed, limit=limit))

    async def end_leases(self) -> None:
        await self._runner.execute(leases.end)

    async def owed(self, age: timedelta, limit: int) -> list[Dispatch]:
        return await self._runner.transact(partial(debts.owed, age=age, limit=limit))

    async def settle(self, outbox_ids: Sequence[str]) -> None:
        if outbox_ids:
            await self._runner.execute(partial(debts.settle, outbox_ids=outbox_ids))

    async def claimable(self) -> dict[str, int]:
        return await self._runner.read(queues.claimable)

    async def waiting(self, most: int) -> dict[str, int]:
        return await self._runner.read(partial(queues.waiting, most=most))

    async def queues(self) -> list[QueueInfo]:
        return await self._runner.read(standing.read_queues)

    async def census(self) -> Census:
        return await self._runner.read(census.read_census)

    async def announce(self, specs: Sequence[KindSpec], anew: Collection[KindId] = ()) -> list[RefusedKind]:
        if not specs:
            return []
        return await self._runner.transact(partial(kinds.announce, specs=specs, anew=anew))

    async def kinds(self) -> list[KindSpec]:
        return await self._runner.read(kinds.read_kinds)

    async def refusals(self) -> dict[str, RefusedAnnouncement]:
        return await self._runner.read(kinds.read_refusals)

    async def workers(self) -> list[WorkerInfo]:
        return await self._runner.read(reading.read_workers)

    async def drain(self, worker_id: str) -> None:
        await self._runner.execute(partial(leases.drain, worker_id=worker_id))

    async def purge(self, limit: int) -> int:
        return await self._runner.transact(partial(retention.purge, limit=limit))

    async def set_paused(self, queue: str, paused: bool) -> None:
        """From now on claims on `queue` are answered `paused`, or granted again. Raises as the port's methods do."""
        await self._runner.execute(partial(queues.set_paused, queue=queue, paused=paused))

    async def add_api_key(self, key: ApiKey) -> None:
        await self._runner.execute(partial(apikeys.add, key=key))

    async def api_keys(self) -> list[ApiKey]:
        return await self._runner.read(apikeys.read_api_keys)

    async def revoke_api_key(self, key_id: str) -> ApiKey | None:
        return await self._runner.execute(partial(apikeys.revoke, key_id=key_id))
