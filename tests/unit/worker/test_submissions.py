"""A handler submits another task."""

import asyncio
from typing import Any

from backhaul import Context, Service
from backhaul.core.errors import Rejected
from backhaul_contracts import codec
from backhaul_contracts.envelope import CLOUDEVENT
from tests.support.deadlines import until
from tests.unit.worker.scripted_intake import Intake
from tests.unit.worker.stage import play


def parent() -> Service:
    service = Service("test")

    @service.handler("test.parent")
    async def handle(nothing: None, ctx: Context) -> str:
        child: str = await ctx.submit("other.kind", {"a": 1}, priority=7, delay="5s", metadata={"m": "x"})
        return child

    @service.handler("test.thread")
    def handle_in_thread(nothing: None, ctx: Context) -> Any:
        return [ctx.submit("other.kind", 1), ctx.submit("other.kind", 2, key="mine")]

    @service.handler("test.careless")
    async def careless(nothing: None, ctx: Context) -> None:
        await ctx.submit("other.kind", 1, colour="red")

    @service.handler("test.refused")
    async def refused(nothing: None, ctx: Context) -> Any:
        try:
            return await ctx.submit("other.kind")
        except Rejected as refusal:
            return [refusal.code, refusal.problem.detail]

    return service


async def test_a_submission_is_a_cloudevent_of_its_own_and_answers_with_the_id() -> None:
    async with play(parent()) as stage:
        intake = Intake(stage)
        await intake.listen()
        grant = await stage.ledger.offer("test.parent")
        await until(lambda: intake.heard)
        await intake.answer(intake.heard[0], "accepted", {"id": "tsk_child"})
        outcome = await stage.ledger.outcome(grant)

    (sent,) = intake.heard
    event = codec.loads(sent.body)
    assert outcome.result == "tsk_child"
    assert (sent.routing_key, sent.content_type) == ("other.kind", CLOUDEVENT)
    assert (event["type"], event["source"]) == ("dev.backhaul.task.submit", f"/backhaul/tasks/{grant.task_id}")
    assert event["data"] == {
        "kind": "other.kind",
        "input": {"a": 1},
        "priority": 7,
        "delay": 5.0,
        "metadata": {"m": "x"},
        "parent_id": grant.task_id,
    }


async def test_the_next_attempt_submits_the_same_again() -> None:
    async with play(parent()) as stage:
        intake = Intake(stage)
        await intake.listen()
        first = await stage.ledger.offer("test.parent")
        await until(lambda: len(intake.heard) == 1)
        await stage.ledger.offer("test.parent", task_id=first.task_id, attempt=2)
        await until(lambda: len(intake.heard) == 2)

    one, other = (codec.loads(delivery.body) for delivery in intake.heard)
    assert (one["source"], one["id"]) == (other["source"], other["id"])


async def test_submissions_of_one_task_are_told_apart_by_order_or_key() -> None:
    async with play(parent()) as stage:
        intake = Intake(stage)
        await intake.listen()
        grant = await stage.ledger.offer("test.thread")
        for number in (1, 2):
            await until(lambda number=number: len(intake.heard) == number)  # type: ignore[misc]
            await intake.answer(intake.heard[-1], "accepted", {"id": f"tsk_{number}"})
        outcome = await stage.ledger.outcome(grant)

    assert [codec.loads(delivery.body)["id"] for delivery in intake.heard] == ["submit-1", "key-mine"]
    assert outcome.result == ["tsk_1", "tsk_2"]


async def test_a_submission_without_an_answer_is_repeated() -> None:
    async with play(parent()) as stage:
        intake = Intake(stage)
        await intake.listen()
        await stage.ledger.offer("test.parent")
        await until(lambda: len(intake.heard) == 1)
        await stage.clock.advance(5)

        await until(lambda: len(intake.heard) == 2)

    assert intake.heard[0].body == intake.heard[1].body
    assert intake.heard[0].correlation_id == intake.heard[1].correlation_id


async def test_a_refusal_is_raised_where_it_was_submitted() -> None:
    async with play(parent()) as stage:
        intake = Intake(stage)
        await intake.listen()
        grant = await stage.ledger.offer("test.refused")
        await until(lambda: intake.heard)
        problem = {"type": "x", "title": "t", "status": 404, "code": "unknown_kind", "detail": "nobody does that"}
        await intake.answer(intake.heard[0], "rejected", problem)
        outcome = await stage.ledger.outcome(grant)

    assert outcome.result == ["unknown_kind", "nobody does that"]


async def test_an_option_that_does_not_exist_is_named() -> None:
    async with play(parent()) as stage:
        outcome = await stage.ledger.outcome(await stage.ledger.offer("test.careless"))

    assert "ctx.submit has no option 'colour'" in outcome.failure.detail


async def test_the_end_of_a_child_is_of_no_interest() -> None:
    async with play(parent()) as stage:
        intake = Intake(stage)
        await intake.listen()
        grant = await stage.ledger.offer("test.parent")
        await until(lambda: intake.heard)
        await intake.answer(intake.heard[0], "accepted", {"id": "tsk_child"})
        await stage.ledger.outcome(grant)
        await intake.answer(intake.heard[0], "succeeded", {"id": "tsk_child"})
        await asyncio.sleep(0)
        outcome = await stage.ledger.outcome(await stage.ledger.offer("test.careless"))

    assert outcome.report == "failed"


async def test_a_thread_that_waits_for_an_answer_can_be_stopped() -> None:
    async with play(parent()) as stage:
        intake = Intake(stage)
        await intake.listen()
        grant = await stage.ledger.offer("test.thread")
        await until(lambda: intake.heard)
        await stage.ledger.stop(grant, worker_id=stage.worker.id)
        outcome = await stage.ledger.outcome(grant)

    assert outcome.report == "stopped"
