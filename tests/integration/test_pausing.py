"""Pausing a queue, on the platform in memory."""

import asyncio

from backhaul import Service
from backhaul.testing import Harness

service = Service("echo", version="1.0.0", slots=2)


@service.handler("echo.say")
async def say(word: str) -> str:
    return word


async def test_nothing_starts_while_a_queue_is_paused_and_all_of_it_once_it_is_resumed() -> None:
    async with Harness(service) as platform:
        await platform.client.pause_queue("echo")
        tasks = [await platform.submit("echo.say", str(number)) for number in range(5)]
        while await platform.broker.ready("backhaul.tasks.echo"):  # the worker claims, and drops the tokens
            await asyncio.sleep(0)
        paused = [(await task.refresh()).status for task in tasks]

        await platform.client.resume_queue("echo")

        async with asyncio.timeout(10):
            assert [await task.result() for task in tasks] == ["0", "1", "2", "3", "4"]
        assert set(paused) == {"queued"}
