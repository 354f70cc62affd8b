"""Claims: a worker with free slots asks, the store grants the best tasks that wait."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from backhaul.core.errors import StoreUnavailable
from backhaul.core.metrics import Labels
from backhaul.core.ports.store import Granted, Store
from backhaul.core.record import Snapshot
from backhaul.core.relay import Relay
from backhaul.core.tracing import UNTRACED, Tracer
from backhaul.ledger.answers import Answers
from backhaul.ledger.desk import Letter
from backhaul_contracts import codec
from backhaul_contracts.claims import Claim, ClaimAnswer, Grant
from backhaul_contracts.messages import ClaimAnswered, Claimed
from backhaul_contracts.tasks import Status

_log = logging.getLogger("backhaul.ledger")


class ClaimDesk:
    """Answers every claim of a handful from one transaction; those of workers that may be dead not at all.

    `on_missed` hears of queues where tokens are dropped by workers that cannot start what waits there.
    """

    def __init__(
        self,
        store: Store,
        relay: Relay,
        answers: Answers,
        lease: timedelta,
        on_missed: Callable[[str], None],
        tracer: Tracer = UNTRACED,
    ) -> None:
        self._store = store
        self._relay = relay
        self._answers = answers
        self._lease = lease
        self._on_missed = on_missed
        self.answers: Counter[Labels] = Counter()
        """How many claims had which answer, by queue."""
        self._tracer = tracer
        self._in_doubt = False
        """Whether the last transaction may have been committed unseen: its claims, tried again, are then repeats."""

    async def handle(self, letters: Sequence[Letter[Claimed]]) -> None:
        claims = [self._claim(letter, message) for letter in letters for message in letter.messages]
        try:
            granted, dispatch = await self._store.claim(claims, self._lease)
        except StoreUnavailable:
            self._in_doubt = True
            raise
        self._in_doubt = False
        self._relay.hand_over(dispatch)
        for claim, grants in zip(claims, granted, strict=True):
            self.answers[claim.queue, "none" if grants is None else grants.verdict] += 1
            if grants is not None:
                self._trace(grants.snapshots)
                self._answers.send(claim.worker_id, ClaimAnswered, _answer(claim.worker_id, grants))
                if grants.others:
                    self._on_missed(claim.queue)
        if unanswered := granted.count(None):
            _log.info("%d claims are not answered: their workers are silent or gone", unanswered)

    def _trace(self, started: Sequence[Snapshot]) -> None:
        """How long they have waited for a worker. When a later attempt became due is not known any more."""
        for record in (snapshot.record for snapshot in started):
            if record.attempt == 1 and record.traceparent is not None and record.started_at is not None:
                since = record.scheduled_for or record.created_at
                about = {"task_id": record.id, "queue": record.queue}
                self._tracer.tell(f"wait {record.kind}", record.traceparent, since, record.started_at, about)

    def _claim(self, letter: Letter[Claimed], message: Claimed) -> Claim:
        """A claim that is delivered again may have been granted by the ledger that did not acknowledge it."""
        repeated = letter.delivery.redelivered or self._in_doubt
        return message.data.model_copy(update={"repeat": True}) if repeated else message.data


def _answer(worker_id: str, granted: Granted) -> ClaimAnswer:
    return ClaimAnswer(
        claim_id=granted.claim_id,
        worker_id=worker_id,
        verdict=granted.verdict,
        others=granted.others,
        grants=[_grant(snapshot) for snapshot in granted.snapshots],
    )


def _grant(snapshot: Snapshot) -> Grant:
    """Every value comes from a checked record, so none is checked again."""
    record = snapshot.record
    values: dict[str, Any] = {
        "task_id": record.id,
        "kind": record.kind,
        "version": record.version,
        "tenant": record.tenant,
        "attempt": record.attempt,
        "max_attempts": record.max_attempts,
        "token": record.token,
        "input": codec.loads(snapshot.input),
        "metadata": codec.loads(record.metadata),
        "checkpoint": None if snapshot.checkpoint is None else codec.loads(snapshot.checkpoint),
        "timeout": record.timeout,
        "started_at": record.started_at,
        "parent_id": record.parent_id,
        "traceparent": record.traceparent,
        "cancelled": record.status is Status.CANCELLING,
    }
    return Grant.model_construct(**values)
