"""From tokens to grants: no claim, no run."""

import asyncio
import time
from collections import deque
from typing import Any

import pytest

from backhaul import Service
from backhaul.core.errors import ConfigurationError
from backhaul.core.messages import topology
from backhaul.worker.claiming.credit import _PACE_SECONDS
from backhaul_contracts.claims import Claim
from tests.support.deadlines import until
from tests.unit.worker.held_clock import turns
from tests.unit.worker.stage import Stage, play


def waiter(go: asyncio.Event, slots: int = 5, **kinds: dict[str, Any]) -> Service:
    """A service whose handlers wait to go."""
    service = Service("test", slots=slots)

    async def wait(nothing: None) -> None:
        await go.wait()

    for name, options in (kinds or {"it": {}}).items():
        service.handler(f"test.{name}", **options)(wait)
    return service


def offered(claim: Claim) -> dict[str, int]:
    return {capacity.kind: capacity.count for capacity in claim.capacities}


async def tokens_left(stage: Stage, queue: str = "test") -> int | None:
    return await stage.ledger.broker.ready(f"backhaul.tasks.{queue}")


async def longer_than(seconds: float) -> None:
    """Let the loop turn for so long by the machine's own clock."""
    ends = time.monotonic() + 2 * seconds
    await until(lambda: time.monotonic() > ends)


async def test_without_a_grant_nothing_runs_and_the_token_is_dropped() -> None:
    go = asyncio.Event()

    async with play(waiter(go)) as stage:
        await stage.ledger.issue()
        await until(lambda: stage.ledger.claims)
        await turns()
        running = stage.worker.view().running

    assert running == 0
    assert await tokens_left(stage) == 0


async def test_a_claim_says_what_it_is_and_what_can_be_started() -> None:
    go = asyncio.Event()

    async with play(waiter(go, slots=5, big={"slots": 2, "version": "7"}, small={})) as stage:
        await stage.ledger.issue(count=3)
        await until(lambda: stage.ledger.claims)
        claim = stage.ledger.claims[0]

    assert (claim.worker_id, claim.queue, claim.limit) == (stage.worker.id, "test", 3)
    assert offered(claim) == {"test.big": 2, "test.small": 5}
    assert {capacity.kind: capacity.version for capacity in claim.capacities}["test.big"] == "7"
    assert claim.beat == stage.ledger.beats[0].number
    assert not claim.repeat


async def test_no_more_runs_than_there_are_slots() -> None:
    go = asyncio.Event()

    async with play(waiter(go, slots=3)) as stage:
        for _ in range(10):
            await stage.ledger.offer("test.it")
        await until(lambda: stage.worker.view().running == 3)
        await turns()
        running, waiting = stage.worker.view().running, await tokens_left(stage)
        go.set()
        await until(lambda: len(stage.ledger.reports) == 10)

    assert (running, waiting) == (3, 7)


async def test_a_kind_with_its_own_limit_keeps_to_it_over_open_claims() -> None:
    go = asyncio.Event()

    async with play(waiter(go, slots=6, big={"slots": 2}, small={})) as stage:
        stage.ledger.silent_on_claims = True
        for _ in range(4):
            await stage.ledger.offer("test.big")
            await turns()
        grantable = [min(claim.limit, offered(claim).get("test.big", 0)) for claim in stage.ledger.claims]

    assert grantable == [1, 1, 0, 0]


async def test_a_limited_kind_goes_on_without_tokens_when_they_were_dropped_at_its_limit() -> None:
    go = [asyncio.Event() for _ in range(4)]
    service = Service("test", slots=10)

    @service.handler("test.big", slots=1)
    async def big(number: int) -> int:
        await go[number].wait()
        return number

    @service.handler("test.small")
    async def small(number: int) -> int:
        return number

    async with play(service) as stage:
        grants = [await stage.ledger.offer("test.big", number) for number in range(4)]
        await until(lambda: stage.worker.view().running == 1)
        await turns()
        left = await tokens_left(stage)
        for event in go:
            event.set()
        for grant in grants:
            await stage.ledger.outcome(grant)
        await turns()
        claims = len(stage.ledger.claims)
        await turns()
        later = len(stage.ledger.claims)

    assert left == 0
    assert claims == later


async def test_a_claim_without_an_answer_is_repeated_until_it_has_one() -> None:
    go = asyncio.Event()

    async with play(waiter(go)) as stage:
        stage.ledger.silent_on_claims = True
        await stage.ledger.offer("test.it")
        await until(lambda: len(stage.ledger.claims) == 1)
        await stage.clock.advance(4)
        stage.ledger.silent_on_claims = False
        await stage.clock.advance(2)
        await until(lambda: stage.worker.view().running == 1)
        claims = list(stage.ledger.claims)
        go.set()

    assert len({claim.claim_id for claim in claims}) == 1
    assert [claim.repeat for claim in claims] == [False, True, True, True]
    assert len({claim.beat for claim in claims}) == 1


async def test_a_worker_leaves_tokens_to_others_for_a_moment_when_only_others_can_use_them() -> None:
    service = Service("test", slots=5)

    @service.handler("test.it")
    async def handle(nothing: None) -> None:
        return None

    async with play(service) as stage:
        stage.ledger.others = True
        await stage.ledger.issue(count=5)
        await until(lambda: len(stage.ledger.claims) and not stage.worker._shift.claims.pending)  # type: ignore[union-attr]
        resting = stage.worker._shift.streams[0].resting  # type: ignore[union-attr]
        await until(lambda: stage.worker._shift.streams[0].shut)  # type: ignore[union-attr]
        await stage.ledger.issue(count=100)
        await turns()
        left, claims = await tokens_left(stage, "test"), len(stage.ledger.claims)
        stage.ledger.others = False
        async with asyncio.timeout(10):
            while await tokens_left(stage, "test"):
                await stage.clock.advance(0.1)

    assert resting
    assert left is not None
    assert left >= 90
    assert claims <= 3


async def test_one_answer_that_cannot_be_read_takes_no_other_down(caplog: pytest.LogCaptureFixture) -> None:
    go = asyncio.Event()

    async with play(waiter(go)) as stage:
        stage.ledger.garble = True
        await stage.ledger.offer("test.it")
        await until(lambda: stage.worker.view().running == 1)
        go.set()

    assert "cannot be read" in caplog.text


async def test_a_second_answer_to_a_claim_starts_nothing() -> None:
    go = asyncio.Event()

    async with play(waiter(go)) as stage:
        await stage.ledger.offer("test.it")
        await until(lambda: stage.worker.view().running == 1)

        await stage.ledger.answer_claim(stage.ledger.claims[0])
        await turns()

        assert stage.worker.view().running == 1
        go.set()


async def test_a_kind_that_is_not_ours_is_handed_back() -> None:
    go = asyncio.Event()

    async with play(waiter(go)) as stage:
        stage.ledger.silent_on_claims = True
        await stage.ledger.issue()
        await until(lambda: stage.ledger.claims)
        claim = stage.ledger.claims[0]
        foreign = claim.model_copy(update={"capacities": [claim.capacities[0].model_copy(update={"kind": "x.y"})]})
        grant = await stage.ledger.offer("x.y", token=False)
        await stage.ledger.answer_claim(foreign)
        outcome = await stage.ledger.outcome(grant)

    assert outcome.report == "handed_back"


async def test_a_beat_lists_claims_without_an_answer() -> None:
    go = asyncio.Event()

    async with play(waiter(go)) as stage:
        stage.ledger.silent_on_claims = True
        await stage.ledger.issue()
        await until(lambda: stage.ledger.claims)
        await stage.clock.advance(5)

        assert stage.ledger.beats[-1].claims == [stage.ledger.claims[0].claim_id]


async def test_the_token_of_a_long_attempt_is_settled_early_and_its_slot_stays_taken() -> None:
    go = asyncio.Event()

    async with play(waiter(go, slots=2)) as stage:
        for _ in range(4):
            await stage.ledger.offer("test.it")
        await until(lambda: stage.worker.view().running == 2)
        await stage.clock.advance(11)
        await turns()
        running, left = stage.worker.view().running, await tokens_left(stage)
        stage.broker.disconnect()
        await turns()
        redelivered = await tokens_left(stage)
        go.set()
        await until(lambda: len(stage.ledger.reports) == 4)

    assert (running, left) == (2, 2)
    assert redelivered == 2


async def test_after_a_lost_connection_no_more_runs_than_there_are_slots() -> None:
    go = asyncio.Event()

    async with play(waiter(go, slots=2)) as stage:
        for _ in range(4):
            await stage.ledger.offer("test.it")
        await until(lambda: stage.worker.view().running == 2)

        stage.broker.disconnect()
        await turns(200)
        running, left = stage.worker.view().running, await tokens_left(stage)
        go.set()
        await until(lambda: len(stage.ledger.reports) == 4)

    assert running == 2
    assert left == 4


async def test_a_worker_hears_tokens_again_when_all_its_slots_were_claimed_for_in_vain_over_a_lost_connection() -> None:
    go = asyncio.Event()

    async with play(waiter(go, slots=1)) as stage:
        stage.ledger.silent_on_claims = True
        await stage.ledger.issue()
        await until(lambda: stage.ledger.claims)

        stage.broker.disconnect()
        await until(lambda: len(stage.ledger.claims) == 2)
        await longer_than(_PACE_SECONDS)
        stage.ledger.silent_on_claims = False
        await stage.ledger.answer_claim(stage.ledger.claims[-1])
        await stage.ledger.offer("test.it")
        await until(lambda: stage.worker.view().running)
        go.set()

    assert len({claim.claim_id for claim in stage.ledger.claims}) > 1


async def test_a_claim_that_was_lost_with_the_connection_is_repeated_at_once() -> None:
    go = asyncio.Event()

    async with play(waiter(go)) as stage:
        stage.ledger.silent_on_claims = True
        await stage.ledger.offer("test.it")
        await until(lambda: len(stage.ledger.claims) == 1)

        stage.ledger.silent_on_claims = False
        stage.broker.disconnect()
        await until(lambda: stage.worker.view().running == 1)
        go.set()

    assert stage.ledger.claims[1].repeat


@pytest.mark.parametrize("slots", [1, 4])
async def test_two_queues_share_the_slots_and_neither_starves(slots: int) -> None:
    service = Service("test", slots=slots)
    order: list[str] = []
    ends: deque[asyncio.Event] = deque()

    async def handle(name: str) -> None:
        order.append(name)
        ends.append(asyncio.Event())
        await ends[-1].wait()

    service.handler("test.a", queue="a")(handle)
    service.handler("test.b", queue="b")(handle)

    async with play(service) as stage:
        for name in ("a", "b"):
            for _ in range(100):
                await stage.ledger.offer(f"test.{name}", name, queue=name, token=False)
        await stage.ledger.issue("a", count=100)
        await stage.ledger.issue("b", count=100)
        for started in range(slots, 201):
            await until(lambda started=started: len(order) == min(started, 200))  # type: ignore[misc]
            ends.popleft().set()
        for end in ends:
            end.set()
        await until(lambda: len(stage.ledger.reports) == 200)
        left = await tokens_left(stage, "a"), await tokens_left(stage, "b")

    assert order[:150].count("b") >= 20
    assert left == (0, 0)


async def test_a_queue_that_cannot_be_looked_at_ends_no_worker(caplog: pytest.LogCaptureFixture) -> None:
    service = Service("test", slots=1)
    done: list[str] = []

    @service.handler("test.a", queue="a")
    @service.handler("test.b", queue="b")
    async def handle(name: str) -> None:
        done.append(name)

    async with play(service) as stage:
        stage.broker.ready = refused  # type: ignore[method-assign]
        for name in ("a", "b") * 20:
            await stage.ledger.offer(f"test.{name}", name, queue=name)
        await until(lambda: len(done) == 40)

    assert caplog.text.count("access refused") == 2


async def refused(queue: str) -> int | None:
    raise ConfigurationError(f"{queue}: access refused")


async def test_tokens_of_one_of_two_queues_wait_there_while_all_slots_are_taken_for_long() -> None:
    go = asyncio.Event()

    async with play(waiter(go, slots=1, here={}, there={"queue": "other"})) as stage:
        await stage.ledger.offer("test.here")
        await until(lambda: stage.worker.view().running == 1)
        await stage.ledger.issue(count=3)
        await stage.clock.advance(6)
        await longer_than(60 * _PACE_SECONDS)
        left, dead = await tokens_left(stage), await stage.broker.ready(topology.DEAD)
        go.set()

    assert (left, dead) == (3, 0)
