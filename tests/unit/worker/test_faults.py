"""Whatever the broker loses, repeats, delays and reorders: every attempt is run once and recorded whole."""

from collections import Counter

import pytest

from backhaul import Context, Service
from backhaul.broker.memory import Faults
from tests.unit.worker.held_clock import turns
from tests.unit.worker.stage import play

TASKS = 60


@pytest.mark.parametrize("seed", range(12))
async def test_every_attempt_runs_once_and_is_recorded_whole(seed: int) -> None:
    service = Service("test", slots=7)
    calls = Counter[str]()

    @service.handler("test.plain")
    async def plain(number: int, ctx: Context) -> int:
        calls[ctx.task_id] += 1
        for step in range(5):
            await ctx.output({"step": step})
        await ctx.save(number)
        return number

    @service.handler("test.limited", slots=2)
    async def limited(number: int, ctx: Context) -> int:
        calls[ctx.task_id] += 1
        await ctx.output(f"{number}")
        return number

    async with play(service) as stage:
        stage.broker.hub.faults = Faults(seed=seed, drop=0.1, duplicate=0.1, delay=0.1, reorder=0.1)
        offers = [("test.plain", n) if n % 3 else ("test.limited", n) for n in range(TASKS)]
        grants = [await stage.ledger.offer(kind, n, token=False) for kind, n in offers]
        for second in range(600):
            if all(stage.ledger.said(grant)[-1:] == ["succeeded"] for grant in grants):
                break
            if second % 10 == 0:
                await stage.ledger.issue_surely(count=TASKS)
            await stage.clock.advance(1)
        await turns()
        stage.broker.hub.faults = Faults()
        await stage.clock.advance(20)
        view = stage.worker.view()

    assert [len(stage.ledger.said(grant)) for grant in grants] == [
        7 if kind == "test.plain" else 2 for kind, _ in offers
    ]
    assert set(calls.values()) == {1}
    assert (view.running, view.held) == (0, 0)
