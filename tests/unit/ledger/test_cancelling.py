"""A cancel between ledger and worker: the grants, beats and reports that it meets on their way."""

import json
from datetime import timedelta
from typing import Any

import pytest

from backhaul.core.messages import topology
from backhaul.core.task.changes import NOTICE
from backhaul.core.task.commands import Cancel, GiveUp, Lose
from backhaul.core.task.record import Record
from backhaul_contracts.beats import Held, StopReason
from backhaul_contracts.envelope import CLOUDEVENT_BATCH
from backhaul_contracts.messages import REPLIES, SHARD, Beaten, Claimed, Reported
from backhaul_contracts.reports import FailedReport, OutputReport, StoppedReport, SucceededReport
from tests.conformance.store.given import LEASE, beat, draft, records
from tests.support.deadlines import until
from tests.unit.core.test_transitions import broken
from tests.unit.ledger.test_left_behind import Stage, asking, stage

__all__ = ["stage"]

pytestmark = pytest.mark.usefixtures("blocking_allowed")

MINUTE = timedelta(minutes=1)


async def running(stage: Stage, claim_id: str = "clm_1") -> Record:
    """An attempt of `wrk_ghost`."""
    await stage.store.beat([beat(worker="wrk_ghost")], LEASE)
    await stage.store.accept([draft()])
    (granted,), _ = await stage.store.claim([asking().model_copy(update={"claim_id": claim_id})], LEASE)
    assert granted is not None
    (record,) = records(granted)
    return record


def of(record: Record, number: int = 1) -> dict[str, Any]:
    return {"task_id": record.id, "attempt": record.attempt, "token": str(record.token), "number": number}


async def heard(stage: Stage) -> list[Any]:
    """The mailbox of `wrk_ghost`, as it fills."""
    mailbox = topology.mailbox(topology.REPLIES, "wrk_ghost")
    await stage.hub.declare(mailbox)
    answers: list[Any] = []
    await stage.hub.consume(
        mailbox.queues[0].name,
        lambda delivery: answers.extend(message.data for message in REPLIES.read(delivery.body)),
        credit=100,
    )
    return answers


async def letters(stage: Stage) -> list[Any]:
    return await stage.hub.get(topology.DEAD, 10)


async def test_a_repeated_claim_says_that_its_grant_was_cancelled_meanwhile(stage: Stage) -> None:
    record = await running(stage)
    await stage.store.advance([Cancel(record.id)])
    answers = await heard(stage)

    async with stage.ledger():
        again = asking().model_copy(update={"claim_id": "clm_1", "repeat": True})
        await stage.say(topology.CLAIMS, Claimed, again)
        await until(lambda: answers)

    (grant,) = answers[0].grants
    assert (grant.task_id, grant.attempt, grant.cancelled) == (record.id, 1, True)


async def test_a_beat_that_holds_a_cancelled_attempt_hears_of_it_and_of_what_is_left_of_the_grace(
    stage: Stage,
) -> None:
    record = await running(stage)
    await stage.store.advance([Cancel(record.id, grace=MINUTE)])
    answers = await heard(stage)

    async with stage.ledger():
        held = Held(task_id=record.id, attempt=1, token=str(record.token))
        await stage.say(topology.BEATS, Beaten, beat(number=2, worker="wrk_ghost", held=[held]))
        await until(lambda: answers)

    (stop,) = answers[0].stop
    assert (stop.task_id, stop.reason) == (record.id, StopReason.CANCELLED)
    assert timedelta(0) < stop.grace <= MINUTE - NOTICE


async def test_a_worker_that_comes_back_after_the_cancel_was_given_up_is_told_to_stop(stage: Stage) -> None:
    record = await running(stage)
    await stage.store.advance([Cancel(record.id, grace=timedelta(0)), GiveUp(record.id)])
    answers = await heard(stage)

    async with stage.ledger():
        held = Held(task_id=record.id, attempt=1, token=str(record.token))
        await stage.say(topology.BEATS, Beaten, beat(number=2, worker="wrk_ghost", held=[held]))
        await until(lambda: answers)

    assert [stop.reason for stop in answers[0].stop] == [StopReason.REPLACED]


async def test_a_result_that_comes_after_the_cancel_was_given_up_is_kept_as_superseded_and_not_shown(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    record = await running(stage)
    await stage.store.advance([Cancel(record.id, grace=timedelta(0)), GiveUp(record.id)])
    before = await stage.now(record.id)
    answers = await heard(stage)

    async with stage.ledger():
        report = SucceededReport(**of(record), result={"pages": 3})
        await stage.say(topology.ledger_queue(0), Reported, report)
        await until(lambda: answers)

    (letter,) = await letters(stage)
    (kept,) = SHARD.read(letter.body)
    assert answers[0].ruling == "stale"
    assert await stage.now(record.id) == before
    assert (letter.content_type, letter.headers["bh-reason"]) == (CLOUDEVENT_BATCH, "superseded")
    assert "cancelled unconfirmed" in letter.headers["bh-detail"]
    assert isinstance(kept.data, SucceededReport)
    assert (kept.data.task_id, kept.data.result, kept.data.token) == (record.id, {"pages": 3}, "superseded")
    assert f"attempt 1 of task {record.id} has a result" in caplog.text
    assert json.dumps({"pages": 3}) not in caplog.text


@pytest.mark.parametrize("what", ["a repeat", "another attempt is to come", "no result"])
async def test_what_supersedes_nothing_is_not_kept(stage: Stage, what: str) -> None:
    record = await running(stage)
    result = SucceededReport(**of(record), result=1)
    if what == "a repeat":
        await stage.store.advance([result])
    elif what == "another attempt is to come":
        await stage.store.end_leases()
        await stage.store.advance([Lose(record.id, 1)])
    else:
        await stage.store.advance([Cancel(record.id), StoppedReport(**of(record))])
    said = {"no result": [OutputReport(**of(record, 2), delta="x"), FailedReport(**of(record, 3), failure=broken())]}
    answers = await heard(stage)

    async with stage.ledger():
        await stage.say(topology.ledger_queue(0), Reported, *said.get(what, [result]))
        await until(lambda: answers)

    assert answers[0].ruling == "stale"
    assert await letters(stage) == []
