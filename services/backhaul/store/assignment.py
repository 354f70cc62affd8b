"""Who gets which task: claims in the order of their arrival, each the best tasks it can start. Pure."""

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple

from backhaul_contracts.claims import Claim
from backhaul_contracts.ids import TaskId


class Shelf(NamedTuple):
    """Where tasks wait that are alike to a worker."""

    queue: str
    kind: str
    version: str


class Waiting(NamedTuple):
    """A claimable task. The best sorts first: by priority, then by age."""

    rank: int
    """The priority, negated."""
    task_id: TaskId


def demand(claims: Sequence[Claim]) -> dict[Shelf, int]:
    """How many tasks of each shelf the claims could take at most, together."""
    wanted: dict[Shelf, int] = {}
    for claim in claims:
        for capacity in claim.capacities:
            shelf = Shelf(claim.queue, capacity.kind, capacity.version)
            wanted[shelf] = wanted.get(shelf, 0) + min(capacity.count, claim.limit)
    return wanted


def assign(claims: Sequence[Claim], waiting: Mapping[Shelf, Sequence[Waiting]]) -> list[list[TaskId]]:
    """The tasks of each claim, best first: at most its limit, and of each kind at most its capacity.

    `waiting` holds the best tasks of each shelf in order, at least as many as `demand` says if there are so many.
    """
    taken: dict[Shelf, int] = dict.fromkeys(waiting, 0)
    return [_take(claim, waiting, taken) for claim in claims]


def _take(claim: Claim, waiting: Mapping[Shelf, Sequence[Waiting]], taken: dict[Shelf, int]) -> list[TaskId]:
    room: dict[Shelf, int] = {}
    for capacity in claim.capacities:
        shelf = Shelf(claim.queue, capacity.kind, capacity.version)
        room[shelf] = room.get(shelf, 0) + capacity.count
    heads = [
        (waiting[shelf][taken[shelf]], shelf) for shelf in room if taken.get(shelf, 0) < len(waiting.get(shelf, ()))
    ]
    heapify(heads)
    chosen: list[TaskId] = []
    while heads and len(chosen) < claim.limit:
        best, shelf = heads[0]
        chosen.append(best.task_id)
        taken[shelf] += 1
        room[shelf] -= 1
        if room[shelf] and taken[shelf] < len(waiting[shelf]):
            heapreplace(heads, (waiting[shelf][taken[shelf]], shelf))
        else:
            heappop(heads)
    return chosen
