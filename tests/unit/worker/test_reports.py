"""Reports on their way: numbered, batched, and sent again until they are recorded."""

import asyncio
from typing import Any

from backhaul import Context, Service
from backhaul.core.messages import topology
from backhaul_contracts.reports import FailedReport, Recorded, Report, Ruling
from tests.support.deadlines import until
from tests.unit.worker.held_clock import turns
from tests.unit.worker.stage import play


def talker(go: asyncio.Event) -> Service:
    """A service whose handler says 1, 2, 3, then waits to go."""
    service = Service("test", slots=50)

    @service.handler("test.talk")
    async def talk(nothing: None, ctx: Context) -> str:
        for number in (1, 2, 3):
            await ctx.output(number)
        await go.wait()
        return "done"

    return service


async def test_reports_of_many_tasks_share_a_message_for_all_their_shards() -> None:
    service = Service("test", slots=50)

    @service.handler("test.it")
    async def handle(nothing: None) -> None:
        return None

    async with play(service) as stage:
        grants = [await stage.ledger.offer("test.it", token=False) for _ in range(50)]
        heard: list[Any] = []
        await stage.ledger.broker.declare(topology.mailbox(topology.REPORTS, "spy", map(str, range(256))))
        await stage.ledger.broker.consume(f"{topology.REPORTS}.spy", heard.append, credit=100)
        await stage.ledger.issue(count=50)
        for grant in grants:
            await stage.ledger.outcome(grant)

    assert len(stage.ledger.batches) < 5
    keys = {heard[0].routing_key, *heard[0].headers.get("CC", ())}
    assert keys <= {str(topology.shard(grant.task_id)) for grant in grants}
    assert len(heard) == len(stage.ledger.batches)


async def test_a_batch_is_no_larger_than_a_message_should_be() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None) -> str:
        return "x" * 200_000

    async with play(service) as stage:
        grants = [await stage.ledger.offer("test.it") for _ in range(8)]
        for grant in grants:
            await stage.ledger.outcome(grant)

    assert max(len(batch) for batch in stage.ledger.batches) <= 2


async def test_what_is_unanswered_for_five_seconds_is_sent_again() -> None:
    go = asyncio.Event()

    async with play(talker(go)) as stage:
        stage.ledger.silent_on_reports = True
        await stage.ledger.offer("test.talk")
        await until(lambda: len(stage.ledger.heard) == 3)
        await stage.clock.advance(4.5)
        before = len(stage.ledger.heard)
        await stage.clock.advance(0.5)
        await until(lambda: len(stage.ledger.heard) == 6)
        go.set()

    assert before == 3
    assert [report.number for report in stage.ledger.heard[:6]] == [1, 2, 3, 1, 2, 3]


async def test_what_is_sent_again_is_what_was_sent() -> None:
    service = Service("test")
    more, go = asyncio.Event(), asyncio.Event()

    @service.handler("test.it")
    async def handle(nothing: None, ctx: Context) -> None:
        await ctx.output("first")
        await more.wait()
        await ctx.output("second")
        await go.wait()

    async with play(service) as stage:
        stage.ledger.silent_on_reports = True
        grant = await stage.ledger.offer("test.it")
        await until(lambda: stage.ledger.heard)
        more.set()
        await turns()
        stage.ledger.silent_on_reports = False
        stage.broker.disconnect()
        go.set()
        await stage.ledger.outcome(grant)

    deltas = [getattr(report, "delta", None) for report in stage.ledger.reports[grant.task_id, 1]]
    assert deltas == ["first", "second", None]


async def test_a_failed_publish_is_repeated_and_the_work_is_not() -> None:
    service = Service("test")
    calls = 0
    go = asyncio.Event()

    @service.handler("test.it")
    async def handle(nothing: None, ctx: Context) -> str:
        nonlocal calls
        calls += 1
        await ctx.output("begun")
        await go.wait()
        return "done"

    async with play(service) as stage:
        grant = await stage.ledger.offer("test.it")
        await until(lambda: stage.ledger.said(grant))

        stage.broker.lose()
        go.set()
        await turns()
        stage.broker.restore()
        outcome = await stage.ledger.outcome(grant)

    assert outcome.result == "done"
    assert calls == 1


async def test_a_gap_is_filled_from_where_it_begins() -> None:
    go = asyncio.Event()
    lost: list[Report] = []

    async with play(talker(go)) as stage:

        def lose_second(report: Report) -> Recorded | None:
            if report.number == 2 and not lost:
                lost.append(report)
                return None
            return stage.ledger.record(report)

        stage.ledger.rule = lose_second
        grant = await stage.ledger.offer("test.talk")
        await until(lambda: len(stage.ledger.said(grant)) == 3)
        go.set()
        await stage.ledger.outcome(grant)

    assert stage.ledger.said(grant) == ["output", "output", "output", "succeeded"]


async def test_a_report_that_is_refused_fails_the_attempt_in_its_place() -> None:
    go = asyncio.Event()
    stopped = asyncio.Event()
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None, ctx: Context) -> None:
        await ctx.output(1)
        try:
            await ctx.output("too much")
            await go.wait()
        finally:
            stopped.set()

    async with play(service) as stage:
        stage.ledger.rule = lambda report: _refuse(stage.ledger.record, report, "too much")
        grant = await stage.ledger.offer("test.it")
        outcome = await stage.ledger.outcome(grant)
        await until(stopped.is_set)

    assert isinstance(outcome, FailedReport)
    assert outcome.number == 2
    assert outcome.failure.detail == "the log is full"
    assert not outcome.failure.retryable
    assert stage.worker.view().held == 0


async def test_a_result_that_is_refused_becomes_a_failure() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None) -> str:
        return "too much"

    async with play(service) as stage:
        stage.ledger.rule = lambda report: _refuse(stage.ledger.record, report, "too much")
        outcome = await stage.ledger.outcome(await stage.ledger.offer("test.it"))

    assert (outcome.report, outcome.number) == ("failed", 1)


async def test_a_refusal_that_hides_behind_a_gap_is_found() -> None:
    service = Service("test")
    go = asyncio.Event()

    @service.handler("test.it")
    async def handle(nothing: None, ctx: Context) -> None:
        await ctx.output(1)
        await ctx.output("too much")
        await ctx.output(3)
        await go.wait()

    async with play(service) as stage:

        def last_word(report: Report) -> Recorded | None:
            """As a ledger that rules on the last report of a batch alone."""
            batch = [other for other in stage.ledger.batches[-1] if other.task_id == report.task_id]
            answer = _refuse(stage.ledger.record, report, "too much")
            return answer if report is batch[-1] else None

        stage.ledger.rule = last_word
        stage.ledger.silent_on_reports = True
        grant = await stage.ledger.offer("test.it")
        await until(lambda: len(stage.ledger.heard) == 3)
        stage.ledger.silent_on_reports = False
        await stage.clock.advance(20)
        outcome = await stage.ledger.outcome(grant)

    assert (outcome.report, outcome.number) == ("failed", 2)


async def test_a_stale_attempt_is_stopped_and_forgotten() -> None:
    service = Service("test")
    stopped = asyncio.Event()

    @service.handler("test.it")
    async def handle(nothing: None, ctx: Context) -> None:
        try:
            await ctx.output(1)
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with play(service) as stage:
        stage.ledger.rule = lambda report: Recorded(
            task_id=report.task_id, attempt=report.attempt, number=0, ruling=Ruling.STALE
        )
        await stage.ledger.offer("test.it")
        await until(stopped.is_set)
        await until(lambda: stage.worker.view().running == 0)
        await stage.clock.advance(6)

    assert stage.worker.view().held == 0
    assert len(stage.ledger.heard) == 1


async def test_an_answer_that_comes_too_late_changes_nothing() -> None:
    go = asyncio.Event()

    async with play(talker(go)) as stage:
        grant = await stage.ledger.offer("test.talk")
        await until(lambda: len(stage.ledger.said(grant)) == 3)
        late = Recorded(task_id=grant.task_id, attempt=1, number=1, ruling=Ruling.GAP)
        await stage.ledger.answer_reports(stage.worker.id, late)
        await turns()
        go.set()
        await stage.ledger.outcome(grant)

    assert [report.number for report in stage.ledger.heard] == [1, 2, 3, 4]


def _refuse(record: Any, report: Report, payload: Any) -> Recorded:
    if payload in (getattr(report, "delta", None), getattr(report, "result", None)):
        return Recorded(
            task_id=report.task_id,
            attempt=report.attempt,
            number=report.number - 1,
            ruling=Ruling.REFUSED,
            detail="the log is full",
        )
    answer: Recorded = record(report)
    return answer
