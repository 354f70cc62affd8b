"""Calls and submissions beside what may happen to their attempt meanwhile: stops, time-outs, a worker without room."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from backhaul import Context, Service
from backhaul_contracts.beats import StopReason
from backhaul_contracts.claims import Grant
from tests.support.deadlines import until
from tests.unit.worker.scripted_intake import Intake
from tests.unit.worker.stage import Stage, play


def service_of(**handlers: Any) -> Service:
    service = Service("test", slots=1)
    for name, function in handlers.items():
        service.handler(f"test.{name}", slots=1 if name == "alone" else None)(function)
    return service


@asynccontextmanager
async def stage_of(**handlers: Any) -> AsyncIterator[tuple[Stage, Intake]]:
    async with play(service_of(**handlers)) as stage:
        intake = Intake(stage)
        await intake.listen()
        yield stage, intake


def running(stage: Stage) -> int:
    return stage.worker.view().running


async def waiting(stage: Stage, intake: Intake, kind: str, count: int = 1, **more: Any) -> Grant:
    grant = await stage.ledger.offer(kind, "x", **more)
    await intake.tell(await intake.next(count), "queued")
    await until(lambda: "waiting" in stage.ledger.said(grant))
    return grant


async def call(name: str, ctx: Context) -> Any:
    return await ctx.call("other.kind", name)


def call_in_thread(name: str, ctx: Context) -> Any:
    return ctx.call("other.kind", name)


async def hold(name: str) -> None:
    await asyncio.Event().wait()


async def tidy(name: str, ctx: Context) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await ctx.submit("other.kind", name)


async def test_an_attempt_that_was_cancelled_submits_nothing_and_waits_for_no_answer() -> None:
    async with stage_of(tidy=tidy) as (stage, intake):
        grant = await stage.ledger.offer("test.tidy", "x")
        await until(lambda: running(stage) == 1)
        await stage.ledger.stop(grant, worker_id=stage.worker.id)
        outcome = await stage.ledger.outcome(grant)
        await until(lambda: running(stage) == 0)

    assert outcome.report == "stopped"
    assert intake.heard == []


async def test_a_submission_without_an_answer_ends_when_its_attempt_is_replaced() -> None:
    async with stage_of(tidy=tidy) as (stage, intake):
        grant = await stage.ledger.offer("test.tidy", "x", timeout=5)
        await until(lambda: running(stage) == 1)
        await stage.clock.advance(6)
        await intake.next(1)
        await stage.ledger.stop(grant, StopReason.REPLACED, worker_id=stage.worker.id)
        await until(lambda: running(stage) == 0)


async def test_a_child_is_cancelled_though_it_is_heard_of_after_the_time_for_its_call() -> None:
    async def impatient(name: str, ctx: Context) -> str:
        with pytest.raises(TimeoutError):
            await ctx.call("other.kind", name, timeout=0)
        return "gone"

    async with stage_of(impatient=impatient) as (stage, intake):
        grant = await stage.ledger.offer("test.impatient", "x")
        submission = await intake.next(1)
        await stage.clock.advance(1)
        await intake.tell(submission, "queued")
        outcome = await stage.ledger.outcome(grant)

    assert outcome.result == "gone"
    assert stage.ledger.said(grant) == ["abandoned", "succeeded"]
    assert stage.ledger.reports[grant.task_id, 1][0].calls == ["tsk_child"]  # type: ignore[union-attr]


async def test_a_child_that_was_made_anew_is_the_one_that_is_given_up() -> None:
    async def patient(name: str, ctx: Context) -> None:
        with pytest.raises(TimeoutError):
            await ctx.call("other.kind", name, timeout="20s")

    async with stage_of(patient=patient) as (stage, intake):
        grant = await waiting(stage, intake, "test.patient")
        stage.ledger.calls_done = ["tsk_child"]
        await stage.clock.advance(6)
        await intake.tell(await intake.next(2), "queued", "tsk_again")
        await stage.clock.advance(15)
        await stage.ledger.outcome(grant)

    assert stage.ledger.beats[-2].calls in (["tsk_again"], [])
    assert stage.ledger.reports[grant.task_id, 1][1].calls == ["tsk_again"]  # type: ignore[union-attr]


async def test_a_thread_that_should_stop_waits_for_no_slot() -> None:
    async with stage_of(call=call_in_thread, hold=hold) as (stage, intake):
        grant = await waiting(stage, intake, "test.call")
        await stage.ledger.offer("test.hold", "y")
        await until(lambda: running(stage) == 1)
        await intake.tell(intake.heard[0], "succeeded", result="late")
        await stage.clock.advance(1)
        before = stage.ledger.said(grant)
        await stage.ledger.stop(grant, worker_id=stage.worker.id)
        outcome = await stage.ledger.outcome(grant)

    assert before == ["waiting"]
    assert outcome.report == "stopped"


async def test_a_token_that_nothing_can_be_claimed_for_keeps_no_slot_from_who_goes_on() -> None:
    async with stage_of(alone=call) as (stage, intake):
        grant = await waiting(stage, intake, "test.alone")
        await asyncio.gather(intake.tell(intake.heard[0], "succeeded", result="here"), stage.ledger.issue())
        outcome = await stage.ledger.outcome(grant)

    assert outcome.result == "here"


async def test_who_does_not_wait_for_its_slot_either_times_out_nevertheless() -> None:
    calls: list[asyncio.Future[Any]] = []

    async def impatient(name: str, ctx: Context) -> None:
        calls.append(asyncio.ensure_future(ctx.call("other.kind", name)))
        await asyncio.wait(calls)
        await asyncio.Event().wait()

    async with stage_of(impatient=impatient, hold=hold) as (stage, intake):
        grant = await waiting(stage, intake, "test.impatient", timeout=timedelta(seconds=20))
        await stage.ledger.offer("test.hold", "y")
        await until(lambda: running(stage) == 1)
        calls[0].cancel()
        await stage.clock.advance(1)
        calls[0].cancel()
        await until(calls[0].cancelled)
        await stage.clock.advance(21)
        outcome = await stage.ledger.outcome(grant)

    assert outcome.failure.code == "timed_out"
