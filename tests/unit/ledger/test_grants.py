"""Grants as they are written: the JSON of the contract, around payloads as they are stored."""

from datetime import timedelta

import pytest

from backhaul.core.ports.store import Granted
from backhaul.core.task.record import RawJson, Record, Snapshot, evolve
from backhaul.ledger.claims import answer_json
from backhaul_contracts.claims import ClaimAnswer, Grant, Verdict
from backhaul_contracts.ids import LeaseToken
from backhaul_contracts.tasks import Status
from tests.conformance.store.given import PAST, draft

RUNNING = evolve(
    draft().record,
    kind='odd."kind"',
    status=Status.RUNNING,
    attempt=2,
    token=LeaseToken("t-1_2"),
    timeout=timedelta(milliseconds=1_500),
    started_at=PAST,
    metadata=RawJson('{"colour":"blue"}'),
)


@pytest.mark.parametrize(
    "record",
    [
        RUNNING,
        evolve(RUNNING, status=Status.CANCELLING, parent_id="tsk_1", traceparent="00-ab-cd-01", timeout=timedelta(365)),
    ],
)
@pytest.mark.parametrize("checkpoint", [None, RawJson('{"page":[7]}')])
def test_a_grant_says_what_its_contract_names(record: Record, checkpoint: RawJson | None) -> None:
    granted = Granted("clm_1", Verdict.GRANTED, (Snapshot(record, RawJson('{"text":"é\\n"}'), None, checkpoint),), True)

    read = ClaimAnswer.model_validate_json(answer_json("wrk_1", granted))

    grant = Grant(
        task_id=record.id,
        kind=record.kind,
        version=record.version,
        tenant=record.tenant,
        attempt=record.attempt,
        max_attempts=record.max_attempts,
        token=str(record.token),
        input={"text": "é\n"},
        metadata={"colour": "blue"},
        checkpoint=None if checkpoint is None else {"page": [7]},
        timeout=record.timeout,
        started_at=PAST,
        parent_id=record.parent_id,
        traceparent=record.traceparent,
        cancelled=record.status is Status.CANCELLING,
    )
    assert read == ClaimAnswer(
        claim_id="clm_1", worker_id="wrk_1", verdict=Verdict.GRANTED, others=True, grants=[grant]
    )
    assert read.model_fields_set == set(ClaimAnswer.model_fields)
    assert read.grants[0].model_fields_set == set(Grant.model_fields)


def test_an_answer_without_grants_says_why() -> None:
    for verdict in (Verdict.EMPTY, Verdict.PAUSED):
        read = ClaimAnswer.model_validate_json(answer_json("wrk_1", Granted("clm_1", verdict)))

        assert read == ClaimAnswer(claim_id="clm_1", worker_id="wrk_1", verdict=verdict)
