"""A handler waits for a call: its slot, its token, its time-out, and what is left when it ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from backhaul import CallFailed, Context, Service
from backhaul_contracts import codec
from backhaul_contracts.claims import Grant
from tests.support.deadlines import until
from tests.unit.worker.scripted_intake import Intake
from tests.unit.worker.stage import Stage, play


def caller(slots: int = 1, kind_slots: int | None = None) -> Service:
    service = Service("test", slots=slots)

    @service.handler("test.call", slots=kind_slots)
    async def call(name: str, ctx: Context) -> Any:
        return await ctx.call("other.kind", name)

    @service.handler("test.thread")
    def call_in_thread(name: str, ctx: Context) -> Any:
        return ctx.call("other.kind", name)

    @service.handler("test.two")
    async def two(name: str, ctx: Context) -> Any:
        return await asyncio.gather(ctx.call("other.kind", 1), ctx.call("other.kind", 1))

    @service.handler("test.patient")
    async def patient(name: str, ctx: Context) -> Any:
        before = ctx.deadline
        await ctx.call("other.kind", name)
        return (ctx.deadline - before).total_seconds()

    @service.handler("test.impatient")
    async def impatient(name: str, ctx: Context) -> str:
        try:
            await ctx.call("other.kind", name, timeout="10s")
        except TimeoutError as error:
            return str(error)
        return "in time"

    @service.handler("test.forgetful")
    async def forgetful(name: str, ctx: Context) -> str:
        service.left = asyncio.ensure_future(ctx.call("other.kind", name))  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        return "gone"

    @service.handler("test.shaped")
    async def shaped(name: str, ctx: Context) -> int:
        return int(await ctx.call("other.kind", name, result=int))

    @service.handler("test.hold")
    async def hold(name: str) -> None:
        await asyncio.Event().wait()

    return service


@asynccontextmanager
async def stage_of(service: Service, **options: Any) -> AsyncIterator[tuple[Stage, Intake]]:
    async with play(service, **options) as stage:
        intake = Intake(stage)
        await intake.listen()
        yield stage, intake


async def waiting(stage: Stage, intake: Intake, kind: str = "test.call", count: int = 1, **more: Any) -> Grant:
    """An attempt that waits for its first call, which is submission number `count`."""
    grant = await stage.ledger.offer(kind, "x", **more)
    await intake.tell(await intake.next(count), "queued")
    await until(lambda: "waiting" in stage.ledger.said(grant))
    return grant


def view(stage: Stage) -> tuple[int, int]:
    seen = stage.worker.view()
    return seen.running, seen.held


async def test_a_call_says_who_asks_and_is_told_apart_by_what_it_asks() -> None:
    async with stage_of(caller()) as (stage, intake):
        grant = await stage.ledger.offer("test.two", "x")
        await until(lambda: len(intake.heard) == 2)

    first, second = (codec.loads(delivery.body) for delivery in intake.heard)
    assert (first["parentattempt"], first["parenttoken"], first["awaited"]) == (1, grant.token, True)
    assert first["data"] == {"kind": "other.kind", "input": 1, "parent_id": grant.task_id}
    assert first["id"].startswith("call-")
    assert (first["id"][:-1], first["id"][-1], second["id"]) == (second["id"][:-1], "1", f"{first['id'][:-1]}2")


async def test_a_child_that_is_done_is_not_waited_for() -> None:
    async with stage_of(caller()) as (stage, intake):
        grant = await stage.ledger.offer("test.call", "x")
        await intake.tell(await intake.next(1), "succeeded", result="kept")
        outcome = await stage.ledger.outcome(grant)

    assert outcome.result == "kept"
    assert stage.ledger.said(grant) == ["succeeded"]


async def test_while_it_waits_the_slot_is_free_and_the_lease_goes_on() -> None:
    async with stage_of(caller()) as (stage, intake):
        grant = await waiting(stage, intake)
        assert view(stage) == (0, 1)
        other = await stage.ledger.offer("test.hold", "y")
        await until(lambda: view(stage) == (1, 2))
        beats = len(stage.ledger.beats)
        await stage.clock.advance(6)
        beat = stage.ledger.beats[-1]

    assert len(stage.ledger.beats) > beats
    assert {held.task_id for held in beat.held} == {grant.task_id, other.task_id}
    assert (beat.running, beat.calls) == (1, ["tsk_child"])


async def test_it_goes_on_as_soon_as_a_slot_is_free_and_before_anything_new() -> None:
    async with stage_of(caller()) as (stage, intake):
        grant = await waiting(stage, intake)
        other = await stage.ledger.offer("test.call", "y")
        second = await intake.next(2)
        third = await stage.ledger.offer("test.hold", "z")

        await intake.tell(intake.heard[0], "succeeded", result="first")
        await stage.clock.advance(1)
        before = stage.ledger.said(grant)
        await intake.tell(second, "succeeded", result="second")
        outcome = await stage.ledger.outcome(grant)
        await stage.ledger.outcome(other)
        await until(lambda: view(stage) == (1, 1))
        assert stage.ledger.said(third) == []

    assert before == ["waiting"]
    assert outcome.result == "first"
    assert stage.ledger.said(grant) == ["waiting", "resumed", "succeeded"]


async def test_the_limit_of_a_kind_is_kept_when_attempts_go_on() -> None:
    async with stage_of(caller(slots=5, kind_slots=1)) as (stage, intake):
        first = await waiting(stage, intake)
        await stage.ledger.offer("test.call", "y")
        second = await intake.next(2)
        await intake.tell(intake.heard[0], "succeeded", result="first")
        await stage.clock.advance(1)
        before = stage.ledger.said(first)
        await intake.tell(second, "succeeded", result="second")
        await stage.ledger.outcome(first)

    assert before == ["waiting"]


async def test_the_time_out_stands_still_and_the_deadline_moves_on() -> None:
    async with stage_of(caller()) as (stage, intake):
        grant = await waiting(stage, intake, "test.patient", timeout=timedelta(seconds=20))
        await stage.clock.advance(120)
        await intake.tell(intake.heard[0], "succeeded")
        outcome = await stage.ledger.outcome(grant)

    assert outcome.report == "succeeded"
    assert outcome.result == pytest.approx(120, abs=1)


async def test_what_was_left_of_the_time_out_goes_on() -> None:
    service = caller()

    @service.handler("test.slow")
    async def slow(name: str, ctx: Context) -> None:
        await ctx.call("other.kind", name)
        await asyncio.Event().wait()

    async with stage_of(service) as (stage, intake):
        grant = await waiting(stage, intake, "test.slow", timeout=timedelta(seconds=20))
        await stage.clock.advance(60)
        await intake.tell(intake.heard[0], "succeeded")
        await until(lambda: "resumed" in stage.ledger.said(grant))
        await stage.clock.advance(21)
        outcome = await stage.ledger.outcome(grant)

    assert outcome.failure.code == "timed_out"


async def test_an_outcome_that_was_lost_is_asked_for_after_a_beat() -> None:
    async with stage_of(caller()) as (stage, intake):
        grant = await waiting(stage, intake)

        stage.ledger.calls_done = ["tsk_child"]
        await stage.clock.advance(6)
        again = await intake.next(2)
        await intake.tell(again, "succeeded", result="found")
        outcome = await stage.ledger.outcome(grant)

    assert again.body == intake.heard[0].body
    assert outcome.result == "found"


async def test_a_call_that_takes_too_long_is_given_up() -> None:
    async with stage_of(caller()) as (stage, intake):
        grant = await waiting(stage, intake, "test.impatient")
        await stage.clock.advance(11)
        outcome = await stage.ledger.outcome(grant)

    assert "other.kind was not answered within 0:00:10" in outcome.result
    assert stage.ledger.said(grant) == ["waiting", "abandoned", "resumed", "succeeded"]
    assert stage.ledger.reports[grant.task_id, 1][1].calls == ["tsk_child"]  # type: ignore[union-attr]


async def test_calls_that_are_pending_together_are_one_time_of_waiting() -> None:
    async with stage_of(caller()) as (stage, intake):
        grant = await waiting(stage, intake, "test.two")
        await intake.tell(await intake.next(2), "queued", "tsk_other")
        await intake.tell(intake.heard[0], "succeeded", result=1)
        await stage.clock.advance(1)
        between = stage.ledger.said(grant)
        await intake.tell(intake.heard[1], "succeeded", "tsk_other", result=2)
        outcome = await stage.ledger.outcome(grant)

    assert between == ["waiting"]
    assert outcome.result == [1, 2]
    assert stage.ledger.said(grant) == ["waiting", "resumed", "succeeded"]


@pytest.mark.parametrize("kind", ["test.call", "test.thread", "test.two"])
async def test_a_cancel_ends_the_wait_and_leaves_nothing_behind(kind: str) -> None:
    async with stage_of(caller()) as (stage, intake):
        grant = await waiting(stage, intake, kind)
        await stage.ledger.stop(grant, worker_id=stage.worker.id)
        outcome = await stage.ledger.outcome(grant)
        await until(lambda: view(stage) == (0, 0))
        await stage.clock.advance(6)
        beat = stage.ledger.beats[-1]

    assert outcome.report == "stopped"
    assert (beat.held, beat.calls, beat.running) == ([], [], 0)


async def test_what_a_handler_leaves_behind_is_given_up_with_it() -> None:
    service = caller()
    async with stage_of(service) as (stage, intake):
        grant = await stage.ledger.offer("test.forgetful", "x")
        outcome = await stage.ledger.outcome(grant)
        await stage.clock.advance(20)

        assert outcome.result == "gone"
        assert service.left.cancelled()  # type: ignore[attr-defined]
        assert len(intake.heard) <= 1
        assert view(stage) == (0, 0)


@pytest.mark.parametrize("kind", ["test.call", "test.thread"])
async def test_a_worker_that_leaves_hands_back_at_once_what_waits(kind: str) -> None:
    async with stage_of(caller(), drain_grace=timedelta(hours=1)) as (stage, intake):
        grant = await waiting(stage, intake, kind)
        stage.stop.set()
        outcome = await stage.ledger.outcome(grant)

    assert outcome.report == "handed_back"


async def test_what_begins_to_wait_while_the_worker_leaves_is_handed_back() -> None:
    async with stage_of(caller(), drain_grace=timedelta(hours=1)) as (stage, intake):
        grant = await stage.ledger.offer("test.call", "x")
        submission = await intake.next(1)
        stage.stop.set()
        await until(lambda: stage.worker.view().state == "draining")
        await stage.clock.advance(1)
        await intake.tell(submission, "queued")
        outcome = await stage.ledger.outcome(grant)

    assert outcome.report == "handed_back"


async def test_the_result_is_read_as_the_type_that_is_asked_for() -> None:
    async with stage_of(caller()) as (stage, intake):
        grant = await waiting(stage, intake, "test.shaped")
        await intake.tell(intake.heard[0], "succeeded", result="many")
        outcome = await stage.ledger.outcome(grant)

    assert "the result of other.kind is not of the type that ctx.call wants: /result" in outcome.failure.detail


def test_a_failed_call_says_which_task_ended_how_and_why() -> None:
    failed = CallFailed("tsk_1", "other.kind", "cancelled")

    assert str(failed) == "the call of other.kind (tsk_1) has been cancelled"
