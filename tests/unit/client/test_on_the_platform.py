"""The client against the real gateway: what it sends is understood, what it hears is what happens."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import BaseModel

from backhaul import Context, Fail, Retry, RetryPolicy, Service
from backhaul.client import Client, Conflict, InvalidRequest, NotFound, Status, TaskCancelled, TaskFailed
from backhaul.testing import Harness


class Count(BaseModel):
    to: int


service = Service("counting", slots=10)


@service.handler("count.up")
async def count_up(count: Count, ctx: Context) -> list[int]:
    for number in range(count.to):
        await ctx.progress(number, count.to)
        await ctx.output(f"{number} ")
    return list(range(count.to))


@service.handler("count.badly", retry=RetryPolicy(max_attempts=1))
async def count_badly(count: Count, ctx: Context) -> None:
    await ctx.output("one ")
    raise Fail("lost_count", f"{count.to} is too far")


@service.handler("count.again")
async def count_again(count: Count, ctx: Context) -> str:
    """Saves its place, then fails once: what it wrote behind the checkpoint is written again."""
    if ctx.checkpoint is None:
        await ctx.output("saved ")
        await ctx.save("here")
        await ctx.output("lost ")
        raise Retry(after="10ms", reason="to begin with")
    await ctx.output("again")
    return str(ctx.checkpoint)


@service.handler("count.for_ever")
async def count_for_ever(nothing: None) -> None:
    await asyncio.Event().wait()


@pytest.fixture
async def platform() -> AsyncIterator[Harness]:
    async with Harness(service) as harness:
        yield harness


async def test_a_task_is_followed_from_acceptance_to_its_result(platform: Harness) -> None:
    task = await platform.client.submit("count.up", Count(to=3), key="three", metadata={"who": "me"})
    events = [event async for event in task.events()]
    result = await task.result(timeout="10s")

    assert result == [0, 1, 2]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert (events[0].type, events[-1].type) == ("task.accepted", "task.succeeded")
    assert (task.state.key, task.state.metadata) == ("three", {"who": "me"})


async def test_the_same_key_gives_the_same_task(platform: Harness) -> None:
    first = await platform.client.submit("count.up", {"to": 1}, key="once")
    again = await platform.client.submit("count.up", {"to": 1}, key="once")

    assert again.id == first.id
    with pytest.raises(InvalidRequest) as caught:
        await platform.client.submit("count.up", {"to": 2}, key="once")
    assert caught.value.problem.code == "idempotency_key_reused"


async def test_output_keeps_what_a_retried_attempt_had_saved(platform: Harness) -> None:
    task = await platform.client.submit("count.again", {"to": 1})
    result = await task.result(timeout="10s")
    output = await task.output()

    assert result == "here"
    assert output.text == "saved again"
    assert output.complete


async def test_a_failure_is_raised_with_its_code(platform: Harness) -> None:
    task = await platform.client.submit("count.badly", {"to": 7})

    with pytest.raises(TaskFailed, match="7 is too far") as caught:
        await task.result(timeout="10s")

    assert caught.value.failure is not None
    assert caught.value.failure.code == "lost_count"


async def test_a_running_task_is_cancelled_and_can_be_run_again(platform: Harness) -> None:
    task = await platform.client.submit("count.for_ever")
    async for event in task.events():
        if event.type == "task.started":
            await task.cancel("long enough")

    with pytest.raises(TaskCancelled, match="long enough"):
        await task.result(timeout="10s")
    assert (await task.retry()).status is Status.QUEUED
    assert not task.state.done
    with pytest.raises(Conflict):
        await task.retry()
    await task.cancel()


async def test_waiting_longer_than_allowed_leaves_the_task_alone(platform: Harness) -> None:
    task = await platform.client.submit("count.for_ever")

    with pytest.raises(TimeoutError, match="it goes on"):
        await task.result(timeout="100ms")

    assert not (await task.refresh()).done
    await task.cancel()


async def test_a_done_task_is_replayed_listed_and_deleted(platform: Harness) -> None:
    task = await platform.client.submit("count.up", {"to": 1})
    await task.wait("10s")
    replayed = await task.replay(input={"to": 2})
    await replayed.wait("10s")

    listed = [found.id async for found in platform.client.list(kind="count.up", status="succeeded")]
    await task.delete()

    assert listed == [replayed.id, task.id]
    assert replayed.state.replay_of == task.id
    with pytest.raises(NotFound):
        await platform.client.get(task.id)


async def test_kinds_and_workers_are_listed(platform: Harness) -> None:
    kinds = await platform.client.kinds()
    (worker,) = await platform.client.workers()

    assert {kind.kind for kind in kinds} == {"count.up", "count.badly", "count.again", "count.for_ever"}
    assert {kind.service for kind in kinds} == {"counting"}
    assert (worker.service, worker.slots, worker.state) == ("counting", 10, "ready")


async def test_wrong_input_names_the_place(platform: Harness) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await platform.client.submit("count.up", {"to": "three"})

    assert [fault.pointer for fault in caught.value.problem.errors] == ["/input/to"]


async def test_the_blocking_client_does_the_same(platform: Harness) -> None:
    def use() -> tuple[int, object]:
        with Client(platform.url) as client:
            task = client.submit("count.up", {"to": 2})
            return len(list(task.events())), task.result(timeout="10s")

    count, result = await asyncio.to_thread(use)

    assert count >= 6
    assert result == [0, 1]


async def test_many_tasks_are_followed_at_once(platform: Harness) -> None:
    events = platform.client.events(kind="count.up", type=["task.accepted", "task.succeeded"])
    first = asyncio.ensure_future(anext(events))
    assert platform.platform.gateway is not None
    async with asyncio.timeout(5):
        while not platform.platform.gateway.feed.wide.watchers:
            await asyncio.sleep(0)

    tasks = [await platform.client.submit("count.up", Count(to=1)) for _ in range(2)]
    told = [await first, *[await anext(events) for _ in range(3)]]
    await events.aclose()

    assert sorted((event.task_id, event.type) for event in told) == sorted(
        (task.id, name) for task in tasks for name in ("task.accepted", "task.succeeded")
    )
