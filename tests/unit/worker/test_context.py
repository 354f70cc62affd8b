"""What a handler can know and say while it runs."""

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from backhaul import Context, Service
from backhaul.worker.reporting.reports import MOST_KEPT
from backhaul_contracts.beats import StopReason
from backhaul_contracts.reports import CheckpointReport, LogReport, OutputReport, ProgressReport, Ruling
from tests.support.deadlines import until
from tests.unit.worker.held_clock import turns
from tests.unit.worker.stage import Stage, play


async def said(stage: Stage, input: Any = None, **options: Any) -> list[Any]:
    """The recorded reports of a task that is offered now."""
    grant = await stage.ledger.offer("test.it", input, **options)
    await stage.ledger.outcome(grant)
    return stage.ledger.reports[grant.task_id, grant.attempt]


async def test_a_handler_knows_its_task() -> None:
    service = Service("test")
    known: dict[str, Any] = {}

    @service.handler("test.it")
    async def handle(nothing: None, ctx: Context) -> None:
        for name in ("task_id", "attempt", "max_attempts", "kind", "tenant", "metadata", "checkpoint", "cancelled"):
            known[name] = getattr(ctx, name)
        known["deadline"] = ctx.deadline

    async with play(service) as stage:
        started = stage.clock.now()
        grant = await stage.ledger.offer(
            "test.it", attempt=2, metadata={"a": "b"}, checkpoint=[7], timeout=timedelta(minutes=1)
        )
        await stage.ledger.outcome(grant)

    assert known == {
        "task_id": grant.task_id,
        "attempt": 2,
        "max_attempts": 3,
        "kind": "test.it",
        "tenant": "default",
        "metadata": {"a": "b"},
        "checkpoint": [7],
        "cancelled": False,
        "deadline": started + timedelta(minutes=1),
    }


async def test_everything_is_said_in_order_and_numbered_without_holes() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None, ctx: Context) -> str:
        await ctx.progress(1, total=3, note="one")
        await ctx.output({"part": 1})
        await ctx.log("look", level="warning", where="here")
        await ctx.save({"at": 1})
        await ctx.output([2])
        return "done"

    async with play(service) as stage:
        reports = await said(stage)

    assert [report.number for report in reports] == [1, 2, 3, 4, 5, 6]
    progress, first, log, checkpoint, second, outcome = reports
    assert isinstance(progress, ProgressReport)
    assert progress.progress.model_dump() == {"done": 1, "total": 3, "note": "one"}
    assert isinstance(first, OutputReport)
    assert first.delta == {"part": 1}
    assert isinstance(log, LogReport)
    assert (log.level, log.message, log.fields) == ("warning", "look", {"where": "here"})
    assert isinstance(checkpoint, CheckpointReport)
    assert checkpoint.checkpoint == {"at": 1}
    assert second.delta == [2]
    assert outcome.result == "done"


async def test_a_thread_says_the_same_without_await() -> None:
    service = Service("test")

    @service.handler("test.it")
    def handle(nothing: None, ctx: Context) -> None:
        ctx.progress(1)
        ctx.output("text")
        ctx.log("look", n=1)
        ctx.save(2)

    async with play(service) as stage:
        reports = await said(stage)

    assert [report.report for report in reports] == ["progress", "output", "log", "checkpoint", "succeeded"]


async def test_text_that_is_not_on_its_way_yet_is_joined() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None, ctx: Context) -> None:
        for word in ("Hel", "lo ", "wor", "ld"):
            await ctx.output(word)
        await ctx.output({"json": 1})
        await ctx.output({"json": 2})
        await ctx.output("bye")

    async with play(service) as stage:
        reports = await said(stage)

    deltas = [report.delta for report in reports[:-1]]
    texts = deltas[:-3]
    assert "".join(texts) == "Hello world"
    assert len(texts) < 4
    assert deltas[-3:] == [{"json": 1}, {"json": 2}, "bye"]


async def test_text_that_follows_soon_waits_a_little_for_more() -> None:
    service = Service("test")
    go = asyncio.Event()

    @service.handler("test.it")
    async def handle(nothing: None, ctx: Context) -> None:
        await ctx.output("first")
        await turns()
        await ctx.output("second")
        await turns()
        await ctx.output("third")
        await go.wait()

    async with play(service) as stage:
        grant = await stage.ledger.offer("test.it")
        reports = stage.ledger.reports[grant.task_id, 1]
        await until(lambda: len(reports) == 2)
        go.set()
        await stage.ledger.outcome(grant)

    assert [report.delta for report in reports[:2] if isinstance(report, OutputReport)] == ["first", "secondthird"]


async def test_save_returns_when_the_checkpoint_is_recorded() -> None:
    service = Service("test")
    saved = asyncio.Event()

    @service.handler("test.it")
    async def handle(nothing: None, ctx: Context) -> None:
        await ctx.save(1)
        saved.set()

    async with play(service) as stage:
        stage.ledger.silent_on_reports = True
        await stage.ledger.offer("test.it")
        await until(lambda: stage.ledger.heard)
        await turns()
        early = saved.is_set()
        stage.ledger.silent_on_reports = False
        await stage.clock.advance(6)
        await until(saved.is_set)

    assert not early


@pytest.mark.parametrize("run_in", ["loop", "thread"])
async def test_a_handler_that_says_more_than_is_recorded_has_to_wait(run_in: str) -> None:
    service = Service("test")
    reached = 0

    @service.handler("test.loop")
    async def in_loop(nothing: None, ctx: Context) -> None:
        nonlocal reached
        for reached in range(MOST_KEPT + 50):
            await ctx.output(reached)

    @service.handler("test.thread")
    def in_thread(nothing: None, ctx: Context) -> None:
        nonlocal reached
        for reached in range(MOST_KEPT + 50):
            ctx.output(reached)

    async with play(service) as stage:
        stage.ledger.silent_on_reports = True
        grant = await stage.ledger.offer(f"test.{run_in}")
        await until(lambda: reached == MOST_KEPT)
        await turns()
        held_at = reached
        stage.ledger.silent_on_reports = False
        await stage.clock.advance(6)
        await stage.ledger.outcome(grant)

    assert held_at == MOST_KEPT
    assert len(stage.ledger.said(grant)) == MOST_KEPT + 51


@pytest.mark.parametrize(
    ("method", "arguments", "sentence"),
    [
        ("output", ({"lock": threading.Lock()},), "the output cannot be written as JSON"),
        ("output", ("\ud800",), "the output cannot be written as JSON"),
        ("output", ("x" * 2000,), "the limit is 1,000 (BACKHAUL_MAX_RESULT)"),
        ("save", (object(),), "the checkpoint cannot be written as JSON"),
        ("progress", (float("nan"),), "finite numbers"),
        ("log", ("text", "loud"), "no level 'loud'"),
    ],
)
async def test_what_cannot_be_said_fails_where_it_is_said(
    method: str, arguments: tuple[Any, ...], sentence: str
) -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None, ctx: Context) -> None:
        await getattr(ctx, method)(*arguments)

    async with play(service, max_result=1000) as stage:
        reports = await said(stage)

    assert [report.report for report in reports] == ["failed"]
    assert sentence in str(reports[0].failure.detail)


async def test_a_thread_whose_attempt_is_over_ends_at_its_next_word() -> None:
    service = Service("test")
    go = threading.Event()

    @service.handler("test.it")
    def handle(nothing: None, ctx: Context) -> None:
        go.wait(5)
        while True:
            ctx.progress(1)

    async with play(service) as stage:
        grant = await stage.ledger.offer("test.it")
        await until(lambda: stage.worker.view().running == 1)

        await stage.ledger.stop(grant, StopReason.REPLACED, worker_id=stage.worker.id)
        await until(lambda: stage.worker.view().held == 0)
        go.set()
        await until(lambda: stage.worker.view().running == 0)

    assert stage.ledger.said(grant) == []


async def test_a_handler_that_always_talks_can_be_stopped() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None, ctx: Context) -> None:
        while True:
            await ctx.output("again")

    async with play(service) as stage:
        grant = await stage.ledger.offer("test.it")
        await until(lambda: stage.ledger.said(grant))

        stage.ledger.rule = lambda report: _stale(stage, report)
        await until(lambda: stage.worker.view().running == 0)

    assert stage.worker.view().held == 0


def _stale(stage: Stage, report: Any) -> Any:
    answer = stage.ledger.record(report)
    return answer.model_copy(update={"ruling": Ruling.STALE})
