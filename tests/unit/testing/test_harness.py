"""The testing kit: the platform as a service's author tests with it."""

import asyncio
from datetime import timedelta

import pytest

from backhaul import Context, Retry, Service
from backhaul.core.errors import ConfigurationError
from backhaul.testing import Faults, Harness, ManualClock


class Shop:
    """A service that counts its runs, and holds up those of which it is told to."""

    def __init__(self) -> None:
        self.service = Service("shop", version="1.0.0")
        self.runs: list[str] = []
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()

        @self.service.handler("shop.order")
        async def order(item: str, ctx: Context) -> str:
            self.runs.append(item)
            if ctx.attempt == 1 and item == "slow":
                self.begun.set()
                await self.gate.wait()
            if ctx.attempt == 1 and item == "later":
                self.begun.set()
                raise Retry(after="1m")
            return f"{item}, attempt {ctx.attempt}"


async def test_the_client_and_http_reach_the_same_platform() -> None:
    async with Harness(Shop().service) as platform:
        task = await platform.submit("shop.order", "tea", key="one")
        result = await task.result(timeout="10s")
        seen = await platform.http.get("/v1/tasks", params={"key": "one"})

    assert result == "tea, attempt 1"
    assert [found["id"] for found in seen.json()["data"]] == [task.id]
    assert platform.url.startswith("http://127.0.0.1:")


async def test_messages_that_are_lost_repeated_and_late_change_no_result() -> None:
    shop = Shop()
    faults = Faults(seed=7, duplicate=0.2, reorder=0.2)
    async with Harness(shop.service, faults=faults, settings={"lease": "1s", "heartbeat": "0.2s"}) as platform:
        platform.faults.set(drop=0.1, delay=0.1, longest_delay=timedelta(milliseconds=20))
        tasks = [await platform.submit("shop.order", f"tea {number}") for number in range(20)]
        results = [await task.result(timeout="30s") for task in tasks]
        during = platform.faults.now
        platform.faults.clear()

    assert [result.partition(",")[0] for result in results] == [f"tea {number}" for number in range(20)]
    assert (during.seed, during.drop, during.duplicate) == (7, 0.1, 0.2)
    assert platform.faults.now == Faults(seed=7)


async def test_a_worker_that_is_killed_is_replaced_and_its_task_goes_on() -> None:
    shop = Shop()
    async with Harness(shop.service, settings={"lease": "1s", "heartbeat": "0.2s"}) as platform:
        task = await platform.submit("shop.order", "slow")
        async with asyncio.timeout(10):
            await shop.begun.wait()

        await platform.faults.kill("shop")

        assert await task.result(timeout="20s") == "slow, attempt 2"
    assert shop.runs == ["slow", "slow"]


async def test_what_is_accepted_while_the_broker_is_down_is_done_afterwards() -> None:
    async with Harness(Shop().service) as platform:
        async with platform.faults.outage():
            task = await platform.submit("shop.order", "tea")

        assert await task.result(timeout="30s") == "tea, attempt 1"


async def test_a_clock_that_is_held_lets_a_minute_pass_at_once() -> None:
    clock, shop = ManualClock(), Shop()
    async with Harness(shop.service, clock=clock) as platform:
        task = await platform.submit("shop.order", "later")
        async with asyncio.timeout(10):
            await shop.begun.wait()
            while not task.state.done:
                clock.advance(timedelta(seconds=4))
                await task.refresh()

    assert task.state.result == "later, attempt 2"


async def test_only_a_service_that_is_here_can_be_killed() -> None:
    async with Harness(Shop().service) as platform:
        with pytest.raises(ConfigurationError, match="there is no service 'stop' here: name one of shop"):
            await platform.faults.kill("stop")
