"""The port to the database: the one true record of every task.

Every method is one transaction: it has happened as a whole or not at all, and it may be called by any number of
processes at once. Batch in, batch out: answers stand in the order of what was asked. A method that cannot reach the
database, or gets no answer in time, raises `StoreUnavailable`; whether its transaction was committed is then unknown,
and repeating the call is always safe.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from backhaul.core.apikeys import ApiKey
from backhaul.core.census import Census
from backhaul.core.ports.dispatch import Children, Dispatch
from backhaul.core.ports.webhooks import WebhookStore
from backhaul.core.task.commands import Command, Lose
from backhaul.core.task.record import Draft, Event, Record, Snapshot
from backhaul.core.task.transitions import Change, Refusal
from backhaul_contracts.beats import Beat
from backhaul_contracts.claims import Claim, Verdict
from backhaul_contracts.ids import TaskId
from backhaul_contracts.kinds import KindSpec, RefusedKind
from backhaul_contracts.listings import QueueInfo, RefusedAnnouncement, WorkerInfo
from backhaul_contracts.tasks import Status

KindId = tuple[str, str]
"""The name of a kind, and its version."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of a draft. `replayed`: an earlier task with the same key stands for it. `conflict`: that earlier
    task has another kind or input, so the draft is refused. `stale`: nothing has become of it, and its caller
    gets no answer: the attempt is over (the snapshot shows the draft), or the task that it calls for anew is still
    being cancelled (the snapshot shows that), and it has to ask again."""

    snapshot: Snapshot
    replayed: bool = False
    conflict: bool = False
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Granted:
    """The answer to one claim; snapshots (with input and checkpoint) are in the order of priority, then age.

    `others`: fewer were granted than asked for, while tasks wait in the queue that the claim has no capacity for.
    """

    claim_id: str
    verdict: Verdict
    snapshots: tuple[Snapshot, ...] = ()
    others: bool = False


@dataclass(frozen=True, slots=True)
class Leases:
    """What the record says of one worker after its beat: `current` are the attempts it holds by right.

    `known` is false if the worker must announce its kinds (again). `unclaimed` are attempts granted to it that its
    beat proves lost: neither held nor under a pending claim, and granted to a claim older than the beat.
    `left` are those that its farewell lists: reports on them may still be on their way. `drain`: it is asked to leave.
    """

    worker_id: str
    known: bool
    current: Mapping[TaskId, Record] = field(default_factory=dict)
    unclaimed: tuple[Record, ...] = ()
    left: tuple[Record, ...] = ()
    drain: bool = False


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """Which tasks to list: all given conditions hold. Newest first; `before` continues a page (exclusive)."""

    tenant: str
    statuses: tuple[Status, ...] = ()
    kind: str | None = None
    queue: str | None = None
    key: str | None = None
    parent_id: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    before: TaskId | None = None
    limit: int = 50


class Listed(NamedTuple):
    """A page of tasks. It may be empty though others follow: who deletes does not wait for who reads."""

    tasks: list[Snapshot]
    before: TaskId | None
    """`before` of the query for the next page; None if there is none."""


class Store(WebhookStore, Protocol):
    """See the module's docstring for what holds of every method."""

    @property
    def failures(self) -> int:
        """How many calls have raised `StoreUnavailable` so far."""
        ...

    async def start(self) -> None:
        """Connect. Raises `StoreUnavailable`, or `ConfigurationError` if the schema is not what this version needs."""
        ...

    async def stop(self) -> None:
        """Let go of every connection. Safe to call twice, and before `start`."""
        ...

    async def ping(self) -> None:
        """Return if the database answers within two seconds, else raise `StoreUnavailable`."""
        ...

    async def accept(self, drafts: Sequence[Draft]) -> tuple[list[Admission], Dispatch]:
        """Make each draft a task, unless its tenant already has a task with its key (I12), however many
        processes try at once. Within one call a repeated key joins the first draft with it.

        Who submits a task again and wants a reply, or calls, joins it as `Join` says. A draft with a caller is taken
        only while that attempt is current and not asked to stop, and belongs to its tenant."""
        ...

    async def advance(self, commands: Sequence[Command]) -> tuple[list[Change | Refusal], Dispatch]:
        """Apply commands in their order through the state machine, rows locked in id order.

        A command on a task that does not exist is a `Refusal` without a record. `Lose` is refused unless the lease of
        the task's worker has really run out, by the database's clock; of a worker that has said farewell it takes the
        attempt back, which is no failure. Who cancels a task owes the same to its children."""
        ...

    async def abandon(self, children: Sequence[Children]) -> Dispatch:
        """Cancel a portion of these children, as far as they are not done; what is left is owed by the dispatch."""
        ...

    async def claim(self, claims: Sequence[Claim], lease: timedelta) -> tuple[list[Granted | None], Dispatch]:
        """Grant each claim up to `limit` of the best claimable tasks of its queue, within its capacities.

        A claim marked `repeat` gets what it was granted before, if that is still its own. The claiming worker's lease
        reaches at least `lease` from now. None, for no answer, goes to a worker whose lease is over, that has said
        farewell, or that has never beaten: it may be dead, and if it is not, it asks again after its next beat."""
        ...

    async def beat(self, beats: Sequence[Beat], lease: timedelta) -> list[Leases]:
        """Note each worker's sign of life: its lease, and so that of all it holds, lasts for `lease` from now.

        A farewell ends it for good: whatever comes of that worker afterwards changes nothing."""
        ...

    async def snapshot(self, tenant: str, task_id: TaskId) -> Snapshot | None:
        """The task, or None if the tenant has none of that id."""
        ...

    async def snapshots(self, task_ids: Sequence[TaskId]) -> list[Snapshot]:
        """Those of these tasks that exist, whosever they are, in the order of the ids."""
        ...

    async def records(self, task_ids: Sequence[TaskId]) -> list[Record]:
        """The records of those of these tasks that exist, whosever they are, in no order: tasks without payloads."""
        ...

    async def events(self, task_id: TaskId, after: int, limit: int) -> list[Event]:
        """Up to `limit` events of a task with `seq` > `after`, in order; fewer, if the last one makes it
        `LARGEST_PAGE`."""
        ...

    async def seqs(self, task_ids: Sequence[TaskId]) -> dict[TaskId, int]:
        """The current `seq` of each of these tasks that exists."""
        ...

    async def unfinished(self, task_ids: Sequence[TaskId]) -> set[TaskId]:
        """Those of these tasks that exist and are not done."""
        ...

    async def find(self, query: TaskQuery) -> Listed:
        """A page of tasks; it ends early with the one that makes it `LARGEST_PAGE`. Every condition is answered from
        an index."""
        ...

    async def forget(self, tenant: str, task_id: TaskId) -> Record | None:
        """Delete the task and its events if it is done. Returns its record as it was, None if there is none."""
        ...

    async def overdue(self, limit: int) -> list[Command]:
        """What time asks for: `Release`, `Expire` and `GiveUp` commands that are due, the oldest first."""
        ...

    async def now(self) -> datetime:
        """The time that leases are measured by."""
        ...

    async def lapsed(self, limit: int) -> list[Lose]:
        """Attempts whose worker's lease has run out."""
        ...

    async def end_leases(self) -> None:
        """End every lease now: for a platform that is alone and has just started, so no worker is left of before."""
        ...

    async def owed(self, age: timedelta, limit: int) -> list[Dispatch]:
        """Outbox entries older than `age`, in order of their commit, locked against other sweepers while they are
        published (30 s): left by a crash or an outage. At most `limit`, no more than memory bears, but at least one."""
        ...

    async def settle(self, outbox_ids: Sequence[str]) -> None:
        """Forget outbox entries: the broker has confirmed all of them."""
        ...

    async def claimable(self) -> dict[str, int]:
        """How many tasks wait to be claimed, by queue (paused ones aside), counted up to 1,000 each."""
        ...

    async def waiting(self, most: int) -> dict[str, int]:
        """How many tasks wait to be claimed, by queue, paused ones too, counted up to `most` each."""
        ...

    async def queues(self) -> list[QueueInfo]:
        """How each queue stands that a kind names, that tasks wait or run in, or that is paused; by name."""
        ...

    async def census(self) -> Census:
        """All of the platform in a few numbers. For those who look now and then: it counts what waits and runs."""
        ...

    async def set_paused(self, queue: str, paused: bool) -> None:
        """From now on claims on `queue` are answered `paused`, or granted again."""
        ...

    async def announce(self, specs: Sequence[KindSpec], anew: Collection[KindId] = ()) -> list[RefusedKind]:
        """Note kinds as live; the newest announcement of a kind and version wins. Returns those that break what was
        announced before of their version: then nothing is noted but the refusal, unless all of them are in `anew`,
        which need not keep what was promised before."""
        ...

    async def refusals(self) -> dict[str, RefusedAnnouncement]:
        """By kind, the last refused announcement of the last day, if none of that version was accepted since."""
        ...

    async def kinds(self) -> list[KindSpec]:
        """Every announced kind at its latest version, by name."""
        ...

    async def workers(self) -> list[WorkerInfo]:
        """Every worker heard of within the last day."""
        ...

    async def drain(self, worker_id: str) -> None:
        """Have a worker leave: from now on its beats are told so, and it is listed as `draining`."""
        ...

    async def purge(self, limit: int) -> int:
        """Delete up to `limit` tasks whose retention is over; returns how many."""
        ...

    async def add_api_key(self, key: ApiKey) -> None:
        """Keep a key that was just made."""
        ...

    async def api_keys(self) -> list[ApiKey]:
        """Every key that was ever made, the oldest first; those that are revoked too."""
        ...

    async def revoke_api_key(self, key_id: str) -> ApiKey | None:
        """Let a key do nothing more, if it is not revoked already. Returns it, None if there is none."""
        ...
