"""One sign of life for all that a worker holds."""

import asyncio
import logging
from datetime import timedelta

import pytest

from backhaul import Service
from backhaul.core.messages import topology
from backhaul_contracts.beats import StopReason
from tests.support.deadlines import until
from tests.unit.worker.held_clock import turns
from tests.unit.worker.stage import play


def waiter(go: asyncio.Event, slots: int = 10) -> Service:
    service = Service("test", version="1.2.3", slots=slots)

    @service.handler("test.it")
    async def wait(nothing: None) -> None:
        await go.wait()

    return service


async def test_the_first_beat_announces_and_later_ones_do_not() -> None:
    async with play(waiter(asyncio.Event())) as stage:
        await stage.clock.advance(10)
        first, second, third = stage.ledger.beats

    assert first.announcement is not None
    assert [spec.kind for spec in first.announcement.kinds] == ["test.it"]
    assert (second.announcement, third.announcement) == (None, None)
    assert [beat.number for beat in (first, second, third)] == [1, 2, 3]
    assert (first.worker_id, first.service, first.version, first.slots) == (stage.worker.id, "test", "1.2.3", 10)


async def test_a_ledger_that_does_not_know_the_worker_gets_the_announcement_at_once() -> None:
    async with play(waiter(asyncio.Event())) as stage:
        stage.ledger.known = False
        await stage.clock.advance(5)
        await until(lambda: len(stage.ledger.beats) == 3)
        stage.ledger.known = True

    assert stage.ledger.beats[1].announcement is None
    assert stage.ledger.beats[2].announcement is not None


async def test_an_announcement_that_is_not_accepted_is_repeated_without_hurry() -> None:
    async with play(waiter(asyncio.Event()), announced=False) as stage:
        stage.ledger.known = False
        await until(lambda: stage.ledger.beats)
        await turns(200)
        hurried = len(stage.ledger.beats)
        await stage.clock.advance(5)
        await until(lambda: len(stage.ledger.beats) == 2)
        announced = stage.worker.announced.is_set()

    assert hurried == 1
    assert not announced
    assert stage.ledger.beats[1].announcement is not None


async def test_a_worker_takes_nothing_before_it_is_known() -> None:
    async with play(waiter(asyncio.Event()), announced=False) as stage:
        stage.ledger.silent_on_beats = True
        await until(lambda: stage.ledger.beats)
        await turns()
        ready = stage.worker.ready
        stage.ledger.silent_on_beats = False
        await stage.clock.advance(5)
        await until(lambda: stage.worker.ready)

    assert not ready


async def test_a_beat_lists_what_runs_and_what_is_not_recorded() -> None:
    go = asyncio.Event()

    async with play(waiter(go)) as stage:
        stage.ledger.silent_on_reports = True
        grant = await stage.ledger.offer("test.it")
        await until(lambda: stage.worker.view().running == 1)
        await stage.clock.advance(5)
        running = stage.ledger.beats[-1]
        go.set()
        await until(lambda: stage.worker.view().running == 0)
        await stage.clock.advance(5)
        ended = stage.ledger.beats[-1]
        stage.ledger.silent_on_reports = False
        await stage.clock.advance(10)
        recorded = stage.ledger.beats[-1]

    held = [(grant.task_id, 1, grant.token)]
    assert (running.running, [(each.task_id, each.attempt, each.token) for each in running.held]) == (1, held)
    assert (ended.running, [(each.task_id, each.attempt, each.token) for each in ended.held]) == (0, held)
    assert (recorded.running, recorded.held) == (0, [])


async def test_a_reconnected_worker_beats_at_once() -> None:
    async with play(waiter(asyncio.Event())) as stage:
        before = stage.clock.now()
        stage.broker.disconnect()

        await until(lambda: len(stage.ledger.beats) == 2)

    assert [beat.number for beat in stage.ledger.beats[:2]] == [1, 2]
    assert stage.clock.now() - before < timedelta(seconds=5), "before the next one was due"


async def test_five_hundred_busy_tasks_make_no_beat_late() -> None:
    service = Service("test", slots=500)

    @service.handler("test.busy")
    async def busy(nothing: None) -> None:
        while True:
            await asyncio.sleep(0)

    async with play(service) as stage:
        for _ in range(500):
            await stage.ledger.offer("test.busy", token=False)
        await stage.ledger.issue(count=500)
        await until(lambda: stage.worker.view().running == 500)
        await stage.clock.advance(5)
        beat = stage.ledger.beats[-1]

    assert beat.number == 2
    assert len(beat.held) == 500


async def test_an_attempt_that_is_cancelled_stops_and_says_so() -> None:
    async with play(waiter(asyncio.Event())) as stage:
        grant = await stage.ledger.offer("test.it")
        await until(lambda: stage.worker.view().running == 1)

        await stage.ledger.stop(grant, worker_id=stage.worker.id)
        outcome = await stage.ledger.outcome(grant)

    assert outcome.report == "stopped"


async def test_a_beat_repeats_a_stop_that_was_lost() -> None:
    async with play(waiter(asyncio.Event())) as stage:
        grant = await stage.ledger.offer("test.it")
        await until(lambda: stage.worker.view().running == 1)

        stage.ledger.stop_with_beats(grant, StopReason.CANCELLED)
        await stage.clock.advance(5)
        outcome = await stage.ledger.outcome(grant)

    assert outcome.report == "stopped"


async def test_a_result_that_a_cancelled_handler_returns_is_reported() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "as far as I got"
        return "never"

    async with play(service) as stage:
        grant = await stage.ledger.offer("test.it")
        await until(lambda: stage.worker.view().running == 1)
        await stage.ledger.stop(grant, worker_id=stage.worker.id)
        outcome = await stage.ledger.outcome(grant)

    assert outcome.result == "as far as I got"


async def test_an_attempt_that_is_replaced_stops_and_says_nothing() -> None:
    async with play(waiter(asyncio.Event())) as stage:
        grant = await stage.ledger.offer("test.it")
        await until(lambda: stage.worker.view().running == 1)

        await stage.ledger.stop(grant, StopReason.REPLACED, worker_id=stage.worker.id)
        await until(lambda: stage.worker.view().running == 0)
        await turns()

    assert stage.worker.view().held == 0
    assert stage.ledger.heard == []


async def test_a_stop_for_an_attempt_that_is_not_held_is_ignored() -> None:
    go = asyncio.Event()

    async with play(waiter(go)) as stage:
        grant = await stage.ledger.offer("test.it")
        await until(lambda: stage.worker.view().running == 1)
        await stage.ledger.stop(grant.model_copy(update={"attempt": 2}), worker_id=stage.worker.id)
        await turns()
        go.set()
        outcome = await stage.ledger.outcome(grant)

    assert outcome.report == "succeeded"


async def test_a_cancelled_thread_is_told_and_says_that_it_stopped_when_it_has_ended() -> None:
    import threading

    from backhaul import Context

    service = Service("test")
    go, seen = threading.Event(), threading.Event()

    @service.handler("test.it")
    def handle(nothing: None, ctx: Context) -> str:
        go.wait(5)
        if ctx.cancelled:
            seen.set()
        return "whatever"

    async with play(service) as stage:
        grant = await stage.ledger.offer("test.it")
        await until(lambda: stage.worker.view().running == 1)
        await stage.ledger.stop(grant, worker_id=stage.worker.id)
        await turns()
        early = stage.ledger.said(grant)
        go.set()
        outcome = await stage.ledger.outcome(grant)

    assert early == []
    assert outcome.report == "stopped"
    assert seen.is_set()


async def test_a_beat_that_nobody_reads_in_time_is_no_sign_of_life_and_a_farewell_waits() -> None:
    service = Service("test")

    @service.handler("test.it")
    async def handle(nothing: None) -> None:
        return None

    async with play(service) as stage:
        await stage.ledger.ears[topology.BEATS].cancel()
        await stage.clock.advance(12)
        left = [await stage.ledger.broker.ready(topology.BEATS)]
        stage.stop.set()
        await stage.ended()
        await stage.clock.advance(12)
        left.append(await stage.ledger.broker.ready(topology.BEATS))

    assert left == [2, 1]


async def test_an_outage_is_told_once_and_once_that_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with play(waiter(asyncio.Event())) as stage:
        stage.broker.lose()
        for _ in range(5):
            await stage.clock.advance(5)
        stage.broker.restore()
        for _ in range(3):
            await stage.clock.advance(5)

    assert caplog.text.count("beats are not published, work goes on") == 1
    assert caplog.text.count("the publishing of beats is well again") == 1
