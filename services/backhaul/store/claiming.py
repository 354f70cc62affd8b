"""Claiming: the best claimable tasks go to the workers that ask, each to one of them.

Claims on the same queue take turns, in whatever process they are answered: so priority is exact, and nobody is told
that a queue is empty because another claim has looked at its tasks first. A task that is just being cancelled or
expired is passed by: what is left of its token is dropped with the claim.

Only who is alive is granted anything: a claim may have been left behind by a worker that has died since.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from secrets import token_urlsafe
from typing import Any

from sqlalchemy import Connection, FromClause, Integer, Select, Text, bindparam, select

from backhaul.core.clock import from_ms
from backhaul.core.ports.dispatch import Dispatch
from backhaul.core.ports.store import Granted
from backhaul.core.task import transitions
from backhaul.core.task.record import Record, Snapshot
from backhaul.core.task.transitions import Change, Lease
from backhaul.store import leases
from backhaul.store.assignment import Shelf, Waiting, assign, demand
from backhaul.store.changing import locked, write
from backhaul.store.functions import claim_turn, store_now
from backhaul.store.records import TASK_IDS, read_snapshot, snapshot_columns
from backhaul.store.recordset import Recordset
from backhaul.store.schema import IS_HELD, IS_QUEUED, queues, states, tasks, workers
from backhaul.store.shelves import Shelves
from backhaul.store.together import Together
from backhaul_contracts.claims import Claim, Verdict
from backhaul_contracts.ids import LeaseToken, TaskId, WorkerId

_TOKEN_BYTES = 16
_LARGEST_GRANT = 4 * 1024 * 1024
"""Characters of payload: an answer with more would not fit a message, nor a mailbox."""

_askers = Recordset("askers", queue=Text, worker_id=Text)


def _turns(living: FromClause) -> Select[Any]:
    """The queues that are claimed from, one after another, and the workers among `living` that claim from them."""
    paused = select(queues.c.paused).where(queues.c.name == _askers.c.queue).scalar_subquery()
    return select(_askers.c.queue, claim_turn(_askers.c.queue), paused.label("paused"), living.c.id).join_from(
        _askers.table, living, living.c.id == _askers.c.worker_id, isouter=True
    )


_extended = leases.EXTEND.cte("extended")
_TURNS = Together(
    leases.EXTEND,
    last=_turns(select(workers.c.id).where(leases.IS_ALIVE).subquery("living")),
    # Sorted, they are all extended before the first turn: who has a turn must not wait for a lease.
    joined=_turns(select(_extended.c.id).order_by(_extended.c.id).subquery("living")),
)

_claims = Recordset("claims", claim_id=Text, worker_id=Text)
_GRANTED = (
    select(*snapshot_columns())
    .join_from(
        _claims.table, states, (states.c.claim_id == _claims.c.claim_id) & (states.c.worker_id == _claims.c.worker_id)
    )
    .join(tasks, tasks.c.id == states.c.task_id)
    .where(IS_HELD)
)

_WAITING = (
    select(-states.c.priority, states.c.task_id)
    .where(
        IS_QUEUED,
        states.c.queue == bindparam("queue"),
        states.c.kind == bindparam("kind"),
        states.c.version == bindparam("version"),
        (states.c.attempt > 0) | states.c.expires_at.is_(None) | (states.c.expires_at > store_now()),
    )
    .order_by(states.c.priority.desc(), states.c.task_id)
    .limit(bindparam("most", type_=Integer))
)

# Without `IS_QUEUED`, which `transitions.claim` checks anyway: it would tempt PostgreSQL to read the whole backlog from
# the index of claimable tasks instead of looking the chosen ones up.
_chosen = locked(skip_locked=True)
_LOCK = select(*snapshot_columns(_chosen), store_now()).join_from(_chosen, tasks, tasks.c.id == _chosen.c.task_id)


def claim(connection: Connection, claims: Sequence[Claim], lease: timedelta) -> tuple[list[Granted | None], Dispatch]:
    """See `Store.claim`. A claim that stands twice among `claims` gets the same grants twice."""
    once = list({claim.claim_id: claim for claim in claims}.values())
    alive, paused = _begin(connection, once, lease)
    ours = [claim for claim in once if claim.worker_id in alive]
    granted = _granted_before(connection, [claim for claim in ours if claim.repeat])
    open_ = [claim for claim in ours if claim.claim_id not in granted and claim.queue not in paused]
    changes, new, passed_over = _grant(connection, open_)
    granted |= new
    dispatch = write(connection, changes, passed_over)
    unserved = [claim for claim in open_ if len(granted.get(claim.claim_id, ())) < claim.limit]
    others = Shelves(connection).beyond(unserved)
    answers = [
        _answer(claim, granted.get(claim.claim_id, ()), paused, others) if claim.worker_id in alive else None
        for claim in claims
    ]
    return answers, dispatch


def _answer(claim: Claim, snapshots: Sequence[Snapshot], paused: Collection[str], others: Collection[str]) -> Granted:
    if snapshots:
        return Granted(claim.claim_id, Verdict.GRANTED, tuple(snapshots), claim.claim_id in others)
    if claim.claim_id in others:
        return Granted(claim.claim_id, Verdict.EMPTY, others=True)
    return Granted(claim.claim_id, Verdict.PAUSED if claim.queue in paused else Verdict.EMPTY)


def _begin(connection: Connection, claims: Sequence[Claim], lease: timedelta) -> tuple[set[str], set[str]]:
    """Extend the leases of the workers that are alive, and wait until it is our turn on all the queues.

    These workers, and the queues that are paused.
    """
    extended = leases.extended({claim.worker_id for claim in claims}, lease)
    askers = sorted({(claim.queue, claim.worker_id) for claim in claims})
    asked = _askers.rows({"queue": queue, "worker_id": worker_id} for queue, worker_id in askers)
    rows = _TURNS.execute(connection, extended, asked).all()
    return {row.id for row in rows if row.id is not None}, {row.queue for row in rows if row.paused}


def _granted_before(connection: Connection, claims: Sequence[Claim]) -> dict[str, list[Snapshot]]:
    granted: dict[str, list[Snapshot]] = {}
    if claims:
        given = _claims.rows({"claim_id": claim.claim_id, "worker_id": claim.worker_id} for claim in claims)
        for snapshot in map(read_snapshot, connection.execute(_GRANTED, given)):
            granted.setdefault(str(snapshot.record.claim_id), []).append(snapshot)
    for snapshots in granted.values():
        snapshots.sort(key=lambda snapshot: (-snapshot.record.priority, snapshot.record.id))
    return granted


def _grant(
    connection: Connection, claims: Sequence[Claim]
) -> tuple[list[Change], dict[str, list[Snapshot]], list[Record]]:
    """The changes, the grants of each claim, and the tasks that were too large to be granted with the others."""
    chosen = assign(claims, _waiting(connection, demand(claims)))
    standing = _lock(connection, [task_id for task_ids in chosen for task_id in task_ids])
    changes: list[Change] = []
    granted: dict[str, list[Snapshot]] = {}
    passed_over: list[Record] = []
    for claim, task_ids in zip(claims, chosen, strict=True):
        size = 0
        for snapshot, now_ms in [standing[task_id] for task_id in task_ids if task_id in standing]:
            size += len(snapshot.input) + len(snapshot.checkpoint or "")
            if size > _LARGEST_GRANT and claim.claim_id in granted:
                passed_over.append(snapshot.record)
                continue
            change = transitions.claim(snapshot.record, _lease(claim), from_ms(now_ms))
            if isinstance(change, Change):
                changes.append(change)
                started = Snapshot(change.record, snapshot.input, snapshot.result, snapshot.checkpoint)
                granted.setdefault(claim.claim_id, []).append(started)
    return changes, granted, passed_over


def _waiting(connection: Connection, shelves: Mapping[Shelf, int]) -> dict[Shelf, list[Waiting]]:
    return {
        shelf: [
            Waiting(rank, TaskId(task_id))
            for rank, task_id in connection.execute(_WAITING, {**shelf._asdict(), "most": most})
        ]
        for shelf, most in shelves.items()
    }


def _lock(connection: Connection, task_ids: Sequence[TaskId]) -> dict[TaskId, tuple[Snapshot, int]]:
    """Those that can be had, each with the time."""
    if not task_ids:
        return {}
    found = connection.execute(_LOCK, TASK_IDS.values(task_ids))
    return {TaskId(row[0]): (read_snapshot(row), row[-1]) for row in found}


def _lease(claim: Claim) -> Lease:
    token = LeaseToken(token_urlsafe(_TOKEN_BYTES))
    return Lease(WorkerId(claim.worker_id), claim.claim_id, claim.beat, token)
