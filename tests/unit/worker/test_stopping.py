"""An attempt that is asked to stop: by a cancel, by its time-out, or because it was replaced."""

import asyncio
import threading
from datetime import timedelta

import pytest

from backhaul import Context, RetryPolicy, Service
from backhaul_contracts.beats import Stop, StopReason
from backhaul_contracts.claims import Grant
from backhaul_contracts.messages import StopAsked
from tests.support.deadlines import until
from tests.unit.worker.held_clock import turns
from tests.unit.worker.stage import Stage, play

SECONDS = timedelta(seconds=1)
calls: list[str] = []


@pytest.fixture(autouse=True)
def no_calls() -> None:
    calls.clear()


def counted() -> Service:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None) -> None:
        calls.append("called")
        await asyncio.Event().wait()

    return service


async def ask(stage: Stage, grant: Grant, grace: timedelta | None = None) -> None:
    """Ask for a stop as a gateway does."""
    stop = Stop(task_id=grant.task_id, attempt=grant.attempt, reason=StopReason.CANCELLED, grace=grace)
    await stage.ledger._send("backhaul.control", stage.worker.id, StopAsked, [stop])
    await turns()


async def started(stage: Stage) -> Grant:
    grant = await stage.ledger.offer("test.it")
    await until(lambda: stage.worker.view().running == 1)
    return grant


async def test_an_attempt_that_was_cancelled_before_its_grant_came_is_never_started() -> None:
    async with play(counted()) as stage:
        stage.ledger.silent_on_claims = True
        grant = await stage.ledger.offer("test.it")
        await until(lambda: stage.ledger.claims)
        await ask(stage, grant)

        await stage.ledger.answer_claim(stage.ledger.claims[0])
        outcome = await stage.ledger.outcome(grant)

    assert outcome.report == "stopped"
    assert calls == []


async def test_a_grant_that_says_that_it_is_cancelled_is_never_started() -> None:
    """The answer to a claim that is repeated may be younger than the cancel."""
    async with play(counted()) as stage:
        outcome = await stage.ledger.outcome(await stage.ledger.offer("test.it", cancelled=True))
        left = stage.worker.view()

    assert outcome.report == "stopped"
    assert (left.running, left.held, calls) == (0, 0, [])


async def test_a_stop_of_one_attempt_does_not_keep_the_next_from_starting() -> None:
    async with play(counted()) as stage:
        first = await started(stage)
        await stage.ledger.stop(first, StopReason.REPLACED, worker_id=stage.worker.id)
        await until(lambda: stage.worker.view().running == 0)
        await ask(stage, first)

        await stage.ledger.offer("test.it", task_id=first.task_id, attempt=2)
        await until(lambda: len(calls) == 2)


async def test_a_handler_may_speak_and_save_while_it_cleans_up() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None, ctx: Context) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await ctx.output("bye")
            await ctx.save({"page": 3})
            calls.append("saved")

    async with play(service) as stage:
        grant = await started(stage)

        await ask(stage, grant)
        await stage.ledger.outcome(grant)

    assert stage.ledger.said(grant) == ["output", "checkpoint", "stopped"]
    assert calls == ["saved"]


async def test_a_handler_that_swallows_its_cancellation_keeps_its_slot_and_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = Service("test")
    go = asyncio.Event()

    @service.handler("test.it", grace="2s")
    async def handle(nothing: None) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await go.wait()
        return "all the same"

    async with play(service) as stage:
        grant = await started(stage)
        await ask(stage, grant)
        await stage.clock.advance(3)
        view = stage.worker.view()
        go.set()
        outcome = await stage.ledger.outcome(grant)
        await until(lambda: stage.worker.view().running == 0)

    assert (view.running, view.stopping) == (1, 1)
    assert f"{grant.task_id}, attempt 1 was asked to stop (cancelled) and still runs" in caplog.text
    assert outcome.result == "all the same"


async def test_a_thread_whose_cancel_was_given_up_keeps_its_slot_and_its_late_result_is_dropped_and_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = Service("test", slots=1)
    go = threading.Event()

    @service.handler("test.it", grace="2s")
    def handle(nothing: None) -> str:
        go.wait(5)
        return "late"

    async with play(service) as stage:
        grant = await started(stage)
        await ask(stage, grant)
        await stage.clock.advance(3)
        stage.ledger.stop_with_beats(grant, StopReason.REPLACED)
        await stage.clock.advance(5)
        view = stage.worker.view()
        go.set()
        await until(lambda: stage.worker.view().running == 0)

    assert (view.running, view.stopping, view.held) == (1, 1, 0)
    assert stage.ledger.said(grant) == []
    assert f"{grant.task_id}, attempt 1 has ended with a result" in caplog.text


@pytest.mark.parametrize(
    ("graces", "named_after"), [((None,), 20), ((3,), 3), ((30, 4), 4), ((3, 40), 3), ((3, None), 3)]
)
async def test_the_shortest_grace_that_a_cancel_gives_counts(
    graces: tuple[int | None, ...], named_after: int, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service("test")
    go = threading.Event()

    @service.handler("test.it", grace="20s")
    def handle(nothing: None) -> None:
        go.wait(20)

    async with play(service) as stage:
        grant = await started(stage)
        for grace in graces:
            await ask(stage, grant, None if grace is None else grace * SECONDS)
        await stage.clock.advance(named_after - 0.5)
        early = "still runs" in caplog.text
        await stage.clock.advance(0.5)
        in_time = "still runs" in caplog.text
        go.set()

    assert (early, in_time) == (False, True)


@pytest.mark.parametrize("causes", [("cancel", "leave"), ("leave", "cancel")])
async def test_a_cancel_and_a_drain_at_the_same_moment_end_in_one_outcome(causes: tuple[str, str]) -> None:
    """Either tells the ledger that the attempt has stopped."""
    async with play(counted()) as stage:
        grant = await started(stage)
        for cause in causes:
            if cause == "leave":
                stage.worker.drain()
                await stage.clock.advance(1)
            else:
                await ask(stage, grant)
        await stage.ended()

    assert stage.ledger.said(grant) == [{"cancel": "stopped", "leave": "handed_back"}[causes[0]]]


async def test_a_worker_that_leaves_does_not_wait_for_a_longer_grace_that_a_cancel_has_given(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A process would be killed then."""
    service = Service("test")
    go = threading.Event()

    @service.handler("test.it", grace="2s")
    def handle(nothing: None) -> None:
        go.wait(20)

    async with play(service) as stage:
        grant = await started(stage)
        await ask(stage, grant, 3600 * SECONDS)
        stage.worker.drain()
        await stage.clock.advance(3)
        go.set()
        await stage.ended()

    assert "was asked to stop (cancelled) and still runs" in caplog.text


@pytest.mark.parametrize("first", ["cancel", "time-out"])
async def test_a_cancel_and_a_time_out_at_the_same_moment_end_in_one_outcome(first: str) -> None:
    service = Service("test")
    go = asyncio.Event()

    @service.handler("test.it", grace="1m")
    async def handle(nothing: None) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await go.wait()

    async with play(service) as stage:
        grant = await stage.ledger.offer("test.it", timeout=30 * SECONDS)
        await until(lambda: stage.worker.view().running == 1)
        if first == "cancel":
            await ask(stage, grant)
            await stage.clock.advance(31)
        else:
            await stage.clock.advance(31)
            await ask(stage, grant)
        go.set()
        await stage.ledger.outcome(grant)

    assert stage.ledger.said(grant) == [{"cancel": "stopped", "time-out": "failed"}[first]]


async def test_a_thread_that_overruns_its_timeout_says_that_it_still_runs() -> None:
    service = Service("test")
    go = threading.Event()

    @service.handler("test.it", grace="2s")
    def handle(nothing: None) -> None:
        go.wait(5)

    async with play(service) as stage:
        grant = await stage.ledger.offer("test.it", timeout=30 * SECONDS)
        await until(lambda: stage.worker.view().running == 1)
        await stage.clock.advance(33)
        outcome = await stage.ledger.outcome(grant)
        go.set()

    assert (outcome.failure.code, outcome.still_running) == ("timed_out", True)


async def test_a_result_within_the_grace_after_the_time_out_is_too_late() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "nearly"
        return "never"

    async with play(service) as stage:
        grant = await stage.ledger.offer("test.it", timeout=30 * SECONDS)
        await until(lambda: stage.worker.view().running == 1)
        await stage.clock.advance(31)
        outcome = await stage.ledger.outcome(grant)

    assert (outcome.failure.code, outcome.failure.retryable, outcome.still_running) == ("timed_out", True, False)


@pytest.mark.parametrize(("never", "retryable"), [((TimeoutError,), False), ((ValueError,), True), ((), True)])
async def test_a_time_out_is_retried_unless_the_policy_forbids_it(
    never: tuple[type[Exception], ...], retryable: bool
) -> None:
    service = Service("test")

    @service.handler("test.it", retry=RetryPolicy(never=never))
    async def handle(nothing: None) -> None:
        await asyncio.Event().wait()

    async with play(service) as stage:
        grant = await stage.ledger.offer("test.it", timeout=30 * SECONDS)
        await until(lambda: stage.worker.view().running == 1)
        await stage.clock.advance(31)
        outcome = await stage.ledger.outcome(grant)

    assert (outcome.failure.code, outcome.failure.retryable) == ("timed_out", retryable)


async def test_a_checkpoint_saved_on_the_way_out_of_a_time_out_is_recorded_before_it() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None, ctx: Context) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await ctx.save("here")

    async with play(service) as stage:
        grant = await stage.ledger.offer("test.it", timeout=30 * SECONDS)
        await until(lambda: stage.worker.view().running == 1)
        await stage.clock.advance(31)
        await stage.ledger.outcome(grant)

    assert stage.ledger.said(grant) == ["checkpoint", "failed"]
