"""How attempts and tasks end, on the whole platform in memory: what its client, and its next attempt, see of it."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from backhaul import Context, Retry, RetryPolicy, Service
from backhaul.client import TaskCancelled, TaskExpired, TaskFailed
from backhaul.core.messages import topology
from backhaul.core.ports.broker import Message
from backhaul.testing import Harness

pytestmark = pytest.mark.timeout(60)

SWIFT = RetryPolicy(max_attempts=2, base="1ms", cap="1ms")


class Stage:
    """What handlers wait for, and what they have done."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.go = asyncio.Event()
        self.thread_go = threading.Event()
        self.seen: list[Any] = []


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
async def platform(stage: Stage) -> AsyncIterator[Harness]:
    service = Service("ends", version="1.0.0", slots=1)

    @service.handler("ends.wait", retry=SWIFT, grace="200ms")
    async def wait(checkpoint: Any, ctx: Context) -> Any:
        stage.seen.append(ctx.checkpoint)
        stage.began.set()
        if ctx.checkpoint is None and checkpoint is not None:
            await ctx.output("kept")
            await ctx.save(checkpoint)
            await ctx.output("in vain")
        await stage.go.wait()

    @service.handler("ends.clean", grace="5s")
    async def clean(nothing: None, ctx: Context) -> None:
        stage.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await ctx.output("cleaned up")
            await ctx.save("clean")

    @service.handler("ends.thread", grace="100ms")
    def thread(nothing: None) -> str:
        loop.call_soon_threadsafe(stage.began.set)
        stage.thread_go.wait(20)
        return "late"

    @service.handler("ends.retry", retry=RetryPolicy(max_attempts=2))
    async def retry(nothing: None) -> None:
        raise Retry(after=0, reason="not yet")

    @service.handler("ends.deep")
    async def deep(nothing: None) -> Any:
        return "x" * 2_000

    loop = asyncio.get_running_loop()
    async with Harness(service, settings={"max_result": 1_000}) as platform:
        yield platform
        stage.go.set()
        stage.thread_go.set()


async def told(task: Any) -> list[tuple[str, dict[str, Any]]]:
    """What the task's log says, by the short names of its events."""
    return [(event.type.removeprefix("task."), event.data) async for event in task.events(after=0)]


async def test_a_time_out_of_its_own_fails_each_attempt_and_the_next_resumes_at_the_checkpoint(
    platform: Harness, stage: Stage
) -> None:
    task = await platform.submit("ends.wait", {"page": 3}, timeout="100ms")

    with pytest.raises(TaskFailed):
        await task.result(timeout="20s")

    events = await told(task)
    retrying = next(data for name, data in events if name == "retrying")
    failed = next(data for name, data in events if name == "failed")
    assert stage.seen == [None, {"page": 3}]
    assert [name for name, _ in events].count("started") == 2
    assert task.state.error is not None
    assert (task.state.error.code, task.state.error.attempt, task.state.attempt) == ("timed_out", 2, 2)
    assert (retrying["attempt"], retrying["error"]["code"]) == (1, "timed_out")
    assert retrying["keep_through"] == 4
    assert events[3] == ("output", {"delta": "kept"})
    assert failed["keep_through"] == 0


async def test_a_submission_may_allow_more_failures_than_its_kind(platform: Harness) -> None:
    more = await platform.submit("ends.retry", max_attempts=4)
    kinds_own = await platform.submit("ends.retry")

    with pytest.raises(TaskFailed, match="not yet"):
        await more.result(timeout="20s")
    with pytest.raises(TaskFailed):
        await kinds_own.result(timeout="20s")

    assert (more.state.attempt, more.state.max_attempts) == (4, 4)
    assert (kinds_own.state.attempt, kinds_own.state.max_attempts) == (2, 2)


async def test_a_cancelled_handler_cleans_up_and_the_cancel_is_confirmed(platform: Harness, stage: Stage) -> None:
    task = await platform.submit("ends.clean")
    await stage.began.wait()

    asked = await task.cancel("enough")
    with pytest.raises(TaskCancelled):
        await task.result(timeout="20s")

    events = await told(task)
    assert asked.status == "cancelling"
    assert [name for name, _ in events[-3:]] == ["cancelling", "output", "cancelled"]
    assert events[-1][1] == {"reason": "enough", "outcome": "confirmed", "keep_through": events.index(events[-2]) + 1}
    assert task.state.error is None


async def test_a_thread_that_does_not_stop_keeps_its_slot_after_an_unconfirmed_cancel(
    platform: Harness, stage: Stage
) -> None:
    task = await platform.submit("ends.thread")
    await stage.began.wait()
    behind = await platform.submit("ends.retry", max_attempts=1)

    await task.cancel()
    ended = await task.wait(timeout="20s")
    waits = await behind.refresh()
    stage.thread_go.set()
    with pytest.raises(TaskFailed):
        await behind.result(timeout="20s")

    assert ended.cancel is not None
    assert (ended.status, ended.cancel.outcome, ended.result) == ("cancelled", "unconfirmed", None)
    assert waits.status == "queued"
    assert await task.refresh() == ended


async def test_a_task_that_waits_is_cancelled_at_once_and_never_runs(platform: Harness, stage: Stage) -> None:
    running = await platform.submit("ends.wait")
    await stage.began.wait()
    waiting = await platform.submit("ends.wait")

    cancelled = await waiting.cancel()
    stage.go.set()
    await running.result(timeout="20s")

    assert (cancelled.status, cancelled.attempt, cancelled.started_at) == ("cancelled", 0, None)
    assert stage.seen == [None]


async def test_a_task_that_nobody_started_in_time_expires_however_it_came(platform: Harness, stage: Stage) -> None:
    running = await platform.submit("ends.wait", expires_in="300ms")
    await stage.began.wait()
    late = await platform.submit("ends.wait", expires_in="50ms")
    message = Message(
        exchange=topology.SUBMIT,
        routing_key="ends.wait",
        body=b"null",
        content_type="application/json",
        message_id="one",
        expiration=timedelta(milliseconds=300),
    )
    await platform.broker.publish([message])

    with pytest.raises(TaskExpired):
        await late.result(timeout="20s")
    async with asyncio.timeout(20):
        while not (found := [task async for task in platform.client.list(key="one")]):
            await asyncio.sleep(0.01)  # the intake tells nobody
    published = await found[0].wait(timeout="20s")
    still = await running.refresh()
    stage.go.set()

    assert published.status == "expired"
    assert still.status == "running"
    assert (await running.wait(timeout="20s")).status == "succeeded"
    assert stage.seen == [None]


async def test_a_result_beyond_the_limit_is_a_failure_that_names_the_limit(platform: Harness) -> None:
    task = await platform.submit("ends.deep")

    with pytest.raises(TaskFailed, match=r"the limit is 1,000 \(BACKHAUL_MAX_RESULT\)"):
        await task.result(timeout="20s")

    assert task.state.attempt == 1
