"""Leaving in good order."""

import asyncio
import threading
from datetime import timedelta

import pytest

from backhaul import Context, Service
from tests.support.deadlines import until
from tests.unit.worker.held_clock import turns
from tests.unit.worker.stage import play

MINUTE = timedelta(minutes=1)


async def test_what_ends_within_the_grace_is_finished() -> None:
    service = Service("test")
    go = asyncio.Event()

    @service.handler("test.it")
    async def handle(nothing: None) -> str:
        await go.wait()
        return "done"

    async with play(service, drain_grace=MINUTE) as stage:
        grant = await stage.ledger.offer("test.it")
        await until(lambda: stage.worker.view().running == 1)
        stage.stop.set()
        await stage.clock.advance(30)
        state = stage.worker.view().state
        go.set()
        await stage.ended()

    assert state == "draining"
    assert [beat.state for beat in stage.ledger.beats[-2:]] == ["draining", "gone"]
    assert stage.ledger.said(grant) == ["succeeded"]


async def test_what_does_not_end_within_the_grace_is_stopped_and_handed_back() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None, ctx: Context) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await ctx.save("half")
            raise

    async with play(service, drain_grace=MINUTE) as stage:
        grant = await stage.ledger.offer("test.it")
        await until(lambda: stage.worker.view().running == 1)
        stage.stop.set()
        await stage.clock.advance(61)
        await stage.ended()

    assert stage.ledger.said(grant) == ["checkpoint", "handed_back"]


async def test_a_draining_worker_takes_nothing_new() -> None:
    service = Service("test", slots=2)
    go = asyncio.Event()

    @service.handler("test.it")
    async def handle(nothing: None) -> None:
        await go.wait()

    async with play(service, drain_grace=MINUTE) as stage:
        await stage.ledger.offer("test.it")
        await until(lambda: stage.worker.view().running == 1)
        stage.worker.drain()
        await turns()
        await stage.ledger.issue(count=3)
        await turns()
        left = await stage.ledger.broker.ready("backhaul.tasks.test")
        claims = len(stage.ledger.claims)
        go.set()
        await stage.ended()

    assert left == 3
    assert claims == 1


async def test_what_is_granted_to_a_draining_worker_is_handed_back_unrun() -> None:
    service = Service("test")
    calls: list[str] = []

    @service.handler("test.it")
    async def handle(nothing: None) -> None:
        calls.append("called")

    async with play(service, drain_grace=MINUTE) as stage:
        stage.ledger.silent_on_claims = True
        grant = await stage.ledger.offer("test.it")
        await until(lambda: stage.ledger.claims)
        stage.stop.set()
        await turns()
        await stage.ledger.answer_claim(stage.ledger.claims[0])
        await stage.ended()

    assert stage.ledger.said(grant) == ["handed_back"]
    assert calls == []


async def test_a_worker_says_farewell_when_all_is_recorded() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None) -> None:
        return None

    async with play(service) as stage:
        await stage.ledger.outcome(await stage.ledger.offer("test.it"))
        stage.stop.set()
        await stage.ended()

    farewell = stage.ledger.beats[-1]
    assert (farewell.state, farewell.held, farewell.claims) == ("gone", [], [])
    assert [beat.number for beat in stage.ledger.beats] == list(range(1, farewell.number + 1))


async def test_its_farewell_lists_what_is_not_recorded() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None) -> None:
        return None

    async with play(service) as stage:
        stage.ledger.silent_on_reports = True
        grant = await stage.ledger.offer("test.it")
        await until(lambda: stage.ledger.heard)
        stage.stop.set()
        await stage.clock.advance(8)
        await stage.ended()

    assert stage.ledger.beats[-1].state == "gone"
    assert [held.task_id for held in stage.ledger.beats[-1].held] == [grant.task_id]


async def test_nothing_is_said_after_the_farewell() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None) -> None:
        return None

    async with play(service) as stage:
        stage.stop.set()
        await stage.ended()
        said = len(stage.ledger.beats)
        await stage.clock.advance(60)

    assert [beat.state for beat in stage.ledger.beats].count("gone") == 1
    assert len(stage.ledger.beats) == said


async def test_the_platform_can_ask_for_it() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None) -> None:
        return None

    async with play(service) as stage:
        stage.ledger.drain = True
        await stage.clock.advance(5)

        await stage.ended()
        stopped = stage.stop.is_set()

    assert not stopped
    assert [beat.state for beat in stage.ledger.beats][-2:] == ["draining", "gone"]


async def test_a_thread_that_does_not_stop_is_handed_back_just_before_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = Service("test")
    go = threading.Event()

    @service.handler("test.it", grace="3s")
    def handle(nothing: None) -> None:
        go.wait(20)

    async with play(service, drain_grace=MINUTE) as stage:
        grant = await stage.ledger.offer("test.it")
        await until(lambda: stage.worker.view().running == 1)
        stage.stop.set()
        await stage.clock.advance(62)
        early = stage.ledger.said(grant)
        await stage.clock.advance(3)
        await stage.ended()
        go.set()

    assert early == []
    assert stage.ledger.said(grant) == ["handed_back"]
    assert "has not stopped" in caplog.text


@pytest.mark.parametrize(("looks", "said"), [(True, "handed_back"), (False, "succeeded")])
async def test_a_thread_that_saw_the_request_is_handed_back_and_one_that_did_not_has_succeeded(
    looks: bool, said: str
) -> None:
    service = Service("test")
    go = threading.Event()

    @service.handler("test.it")
    def handle(nothing: None, ctx: Context) -> str:
        go.wait(5)
        return "stopped early" if looks and ctx.cancelled else "wholly done"

    async with play(service) as stage:
        grant = await stage.ledger.offer("test.it")
        await until(lambda: stage.worker.view().running == 1)
        stage.stop.set()
        await stage.clock.advance(1)
        go.set()
        await stage.ended()

    assert stage.ledger.said(grant) == [said]


async def test_a_worker_that_was_never_known_can_leave() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None) -> None:
        return None

    async with play(service, announced=False) as stage:
        stage.ledger.silent_on_beats = True
        await until(lambda: stage.ledger.beats)
        stage.stop.set()

        await stage.ended()


async def test_a_worker_that_cannot_reach_the_broker_can_leave() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None) -> None:
        return None

    async with play(service) as stage:
        stage.broker.lose()
        stage.stop.set()

        await stage.ended()


async def test_a_worker_that_is_cancelled_leaves_at_once_and_says_nothing() -> None:
    service = Service("test")
    stopped = asyncio.Event()

    @service.handler("test.it")
    async def handle(nothing: None) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with play(service) as stage:
        await stage.ledger.offer("test.it")
        await until(lambda: stage.worker.view().running == 1)
        stage.run.cancel()
        await asyncio.wait([stage.run])

    assert stopped.is_set()
    assert stage.ledger.heard == []
    assert await stage.ledger.broker.ready("backhaul.tasks.test") == 1
