"""Claims: a worker with free slots asks, the store grants the best tasks that wait."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta

from backhaul.core.errors import StoreUnavailable
from backhaul.core.messages.relay import Relay
from backhaul.core.metrics import Labels
from backhaul.core.ports.store import Granted, Store
from backhaul.core.rendering import json_name, json_text, json_time
from backhaul.core.task.record import RawJson, Snapshot
from backhaul.core.tracing import UNTRACED, Tracer
from backhaul.ledger.answers import Answers
from backhaul.ledger.desk import Letter
from backhaul_contracts.claims import Claim
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
                self._answers.send(claim.worker_id, ClaimAnswered, answer_json(claim.worker_id, grants))
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


def answer_json(worker_id: str, granted: Granted) -> RawJson:
    """The answer as `backhaul_contracts.claims.ClaimAnswer` describes it."""
    grants = ",".join(map(_grant_json, granted.snapshots))
    return RawJson(
        f'{{"claim_id":{json_text(granted.claim_id)},"worker_id":{json_text(worker_id)},'
        f'"verdict":"{granted.verdict}","others":{_json_bool(granted.others)},"grants":[{grants}]}}'
    )


def _grant_json(snapshot: Snapshot) -> str:
    """Payloads are spliced in as they are stored: a large one is not read on its way to the worker."""
    record = snapshot.record
    return (
        f'{{"task_id":"{record.id}","kind":{json_name(record.kind)},"version":{json_name(record.version)},'
        f'"tenant":{json_name(record.tenant)},"attempt":{record.attempt},"max_attempts":{record.max_attempts},'
        f'"token":"{record.token}","input":{snapshot.input},"metadata":{record.metadata},'
        f'"checkpoint":{snapshot.checkpoint or "null"},"timeout":{record.timeout.total_seconds()},'
        f'"started_at":{json_time(record.started_at)},"parent_id":{json_text(record.parent_id)},'
        f'"traceparent":{json_text(record.traceparent)},"cancelled":{_json_bool(record.status is Status.CANCELLING)}}}'
    )


def _json_bool(value: bool) -> str:
    return "true" if value else "false"
