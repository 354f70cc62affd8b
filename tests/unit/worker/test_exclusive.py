"""Exclusive attempts stop before their lease can end unseen; all others go on."""

import asyncio

from backhaul import Service
from tests.support.deadlines import until
from tests.unit.worker.stage import play


def service_of(stopped: list[str]) -> Service:
    service = Service("test")

    async def wait(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(name)

    service.handler("test.exclusive", exclusive=True)(wait)
    service.handler("test.plain")(wait)
    return service


async def test_an_exclusive_attempt_goes_on_while_beats_are_answered() -> None:
    stopped: list[str] = []

    async with play(service_of(stopped)) as stage:
        await stage.ledger.offer("test.exclusive", "exclusive")
        await until(lambda: stage.worker.view().running == 1)
        await stage.clock.advance(60)

        assert stopped == []


async def test_an_exclusive_attempt_stops_before_the_last_answered_beat_is_a_lease_old() -> None:
    stopped: list[str] = []

    async with play(service_of(stopped)) as stage:
        await stage.ledger.offer("test.exclusive", "exclusive")
        await stage.ledger.offer("test.plain", "plain")
        await until(lambda: stage.worker.view().running == 2)
        await stage.clock.advance(5)
        stage.ledger.silent_on_beats = True
        await stage.clock.advance(14.5)
        in_time = list(stopped)
        await stage.clock.advance(0.5)
        at_last = list(stopped)
        await stage.clock.advance(30)
        long_after = list(stopped)

    assert in_time == []
    assert at_last == ["exclusive"]
    assert long_after == ["exclusive"]


async def test_an_exclusive_attempt_that_stopped_for_its_lease_is_handed_back() -> None:
    async with play(service_of([])) as stage:
        grant = await stage.ledger.offer("test.exclusive", "exclusive")
        await until(lambda: stage.worker.view().running == 1)
        stage.ledger.silent_on_beats = True
        await stage.clock.advance(20)
        outcome = await stage.ledger.outcome(grant)

    assert outcome.report == "handed_back"


async def test_an_exclusive_attempt_whose_grant_comes_when_its_lease_is_over_never_begins() -> None:
    begun: list[str] = []
    service = Service("test")

    @service.handler("test.exclusive", exclusive=True)
    async def note(name: str) -> None:
        begun.append(name)

    async with play(service) as stage:
        stage.ledger.silent_on_beats = stage.ledger.silent_on_claims = True
        grant = await stage.ledger.offer("test.exclusive", "exclusive")
        await until(lambda: stage.ledger.claims)
        await stage.clock.advance(21)
        await stage.ledger.answer_claim(stage.ledger.claims[0])
        outcome = await stage.ledger.outcome(grant)

    assert begun == []
    assert outcome.report == "handed_back"


async def test_an_attempt_that_a_faulty_ledger_grants_twice_keeps_its_worker_from_nothing() -> None:
    stopped: list[str] = []

    async with play(service_of(stopped)) as stage:
        grant = await stage.ledger.offer("test.exclusive", "exclusive")
        await until(lambda: stage.worker.view().running == 1)
        await stage.ledger.offer_again(grant)
        await until(lambda: stage.worker.view().running == 2)
        stage.ledger.silent_on_beats = True
        await stage.clock.advance(20)

    assert stopped == ["exclusive", "exclusive"]
