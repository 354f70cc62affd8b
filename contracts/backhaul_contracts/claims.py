"""A worker asks for tasks; the ledger grants them. *No claim, no run.*"""

from enum import StrEnum

from pydantic import Field

from backhaul_contracts.wire import Duration, Json, Moment, QueueName, Wire


class Capacity(Wire):
    """How many tasks of a kind, at the version it speaks, a worker can start now."""

    kind: str
    version: str
    count: int = Field(ge=1)


class Claim(Wire):
    """A worker can start up to `limit` tasks of a queue now, of these kinds.

    A claim is repeated, with the same id and `repeat` true, until it is answered: the same id gets the same grants.
    `beat` is the number of the last beat sent before the claim: a later beat that lists neither the claim nor what
    was granted on it proves the grant lost.
    """

    claim_id: str
    worker_id: str
    queue: QueueName
    limit: int = Field(ge=1)
    capacities: list[Capacity]
    beat: int = 0
    repeat: bool = False


class Grant(Wire):
    """One attempt, leased to the worker: all that its handler needs. `token` fences every report of the attempt.

    `cancelled`: a cancel came before this answer. Do not start it, and report that it has stopped.
    """

    task_id: str
    kind: str
    version: str
    tenant: str
    attempt: int
    max_attempts: int
    token: str
    input: Json = None
    metadata: dict[str, str] = Field(default_factory=dict)
    checkpoint: Json = None
    timeout: Duration
    started_at: Moment
    parent_id: str | None = None
    traceparent: str | None = None
    cancelled: bool = False


class Verdict(StrEnum):
    GRANTED = "granted"
    EMPTY = "empty"
    """Nothing claimable: the tokens are dropped."""
    PAUSED = "paused"
    """The queue is paused: the tokens are dropped; resuming issues new ones."""


class ClaimAnswer(Wire):
    """The grants on a claim: at most `limit`; the tokens beyond them are dropped.

    `others`: tasks wait in the queue that this claim has no capacity for. Tokens are better left to other workers for a
    moment.
    """

    claim_id: str
    worker_id: str
    verdict: Verdict
    others: bool = False
    grants: list[Grant] = Field(default_factory=list)
