"""A handler calls another kind and waits for it: on the platform in memory, in a loop, a thread and a process."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from backhaul import CallFailed, Context, Fail, Rejected, Retry, Service
from backhaul.broker.memory import Faults
from backhaul.client import AsyncTask
from backhaul.testing import Harness
from tests.unit.worker import heavy

pytestmark = pytest.mark.timeout(60)


class Sum(BaseModel):
    total: int


class Family:
    """Parent and children share the slots of one worker: if there is one, a parent that kept it would wait for ever."""

    def __init__(self, slots: int = 1, **options: Any) -> None:
        self.service = Service("family", slots=slots, **options)
        self.gate = asyncio.Event()
        self.runs: list[Any] = []
        """The inputs of children that were begun."""
        self._define_children()
        self._define_parents()
        self._define_careful_parents()

    def _define_children(self) -> None:
        @self.service.handler("family.add")
        async def add(numbers: list[int]) -> Sum:
            self.runs.append(numbers)
            return Sum(total=sum(numbers))

        @self.service.handler("family.gated")
        async def gated(name: str) -> str:
            self.runs.append(name)
            await self.gate.wait()
            return f"{name} is done"

        @self.service.handler("family.broken")
        async def broken(name: str) -> None:
            self.runs.append(name)
            raise Fail("no_text", "there is no text")

    def _define_parents(self) -> None:
        @self.service.handler("family.sum")
        async def parent(numbers: list[int], ctx: Context) -> int:
            said = await ctx.call("family.add", numbers, result=Sum)
            return int(said.total)

        @self.service.handler("family.wait")
        async def wait(name: str, ctx: Context) -> str:
            return str(await ctx.call("family.gated", name))

        @self.service.handler("family.wait_in_thread")
        def wait_in_thread(name: str, ctx: Context) -> str:
            return str(ctx.call("family.gated", name))

        @self.service.handler("family.fan")
        async def fan(count: int, ctx: Context) -> list[int]:
            calls = [ctx.call("family.add", [n, 1]) for n in range(count)]
            return [said["total"] for said in await asyncio.gather(*calls)]

        @self.service.handler("family.deep")
        async def deep(depth: int, ctx: Context) -> int:
            return 0 if depth == 0 else 1 + int(await ctx.call("family.deep", depth - 1))

        @self.service.handler("family.again")
        async def again(name: str, ctx: Context) -> str:
            said = str(await ctx.call("family.add", [1, 2], key="once"))
            if ctx.attempt == 1:
                raise Retry(after="0s")
            return said

    def _define_careful_parents(self) -> None:
        @self.service.handler("family.careful")
        async def careful(name: str, ctx: Context) -> Any:
            try:
                return await ctx.call("family.broken", name)
            except CallFailed as failed:
                return [failed.kind, failed.status, failed.error and failed.error.code]

        @self.service.handler("family.careless")
        async def careless(name: str, ctx: Context) -> None:
            await ctx.call("family.broken", name)

        @self.service.handler("family.impatient")
        async def impatient(name: str, ctx: Context) -> str:
            try:
                return str(await ctx.call("family.gated", name, timeout="0.3s"))
            except TimeoutError as error:
                return str(error)

        @self.service.handler("family.stranger")
        async def stranger(name: str, ctx: Context) -> str:
            try:
                return str(await ctx.call("family.unknown", name))
            except Rejected as refusal:
                return refusal.code


async def shown(task: AsyncTask, status: str) -> None:
    """Return when the task has this status."""
    async with asyncio.timeout(20):
        while (await task.refresh()).status != status:
            await asyncio.sleep(0.02)


async def children(platform: Harness, task: AsyncTask) -> list[AsyncTask]:
    return [child async for child in platform.client.list(parent_id=task.id)]


@pytest.fixture
async def family() -> Family:
    return Family()


@pytest.fixture
async def platform(family: Family) -> AsyncIterator[Harness]:
    async with Harness(family.service) as platform:
        yield platform


async def test_a_call_gives_the_result_and_frees_the_only_slot_for_it(platform: Harness) -> None:
    task = await platform.submit("family.sum", [1, 2, 3])

    assert await task.result(timeout="20s") == 6
    (child,) = await children(platform, task)
    assert child.state.kind == "family.add"


async def test_while_a_call_is_pending_the_task_waits_and_says_for_whom(platform: Harness, family: Family) -> None:
    task = await platform.submit("family.wait", "Ada")

    await shown(task, "waiting")
    (child,) = await children(platform, task)
    family.gate.set()

    assert await task.result(timeout="20s") == "Ada is done"
    events = [event async for event in task.events(after=0)]
    assert [event.type for event in events] == [
        "task.accepted", "task.queued", "task.started", "task.waiting", "task.log", "task.succeeded",
    ]  # fmt: skip
    assert events[3].data == {"calls": [{"task_id": child.id, "kind": "family.gated"}]}


async def test_a_call_to_itself_needs_no_more_than_one_slot(platform: Harness) -> None:
    assert await (await platform.submit("family.deep", 6)).result(timeout="30s") == 6


async def test_calls_made_together_are_waited_for_together(platform: Harness) -> None:
    task = await platform.submit("family.fan", 8)

    assert await task.result(timeout="20s") == [n + 1 for n in range(8)]
    types = [event.type async for event in task.events(after=0)]
    assert types.count("task.waiting") == types.count("task.log") == 1


async def test_a_call_of_a_thread_gives_up_its_slot_too(platform: Harness, family: Family) -> None:
    task = await platform.submit("family.wait_in_thread", "Ada")

    await shown(task, "waiting")
    family.gate.set()

    assert await task.result(timeout="20s") == "Ada is done"


async def test_a_child_that_fails_is_an_error_with_its_reason(platform: Harness) -> None:
    said = await (await platform.submit("family.careful", "x")).result(timeout="20s")

    assert said == ["family.broken", "failed", "no_text"]


async def test_a_failed_call_that_nobody_catches_fails_the_attempt_and_the_next_calls_anew(
    platform: Harness, family: Family
) -> None:
    task = await platform.submit("family.careless", "x", max_attempts=2)

    async with asyncio.timeout(20):
        await task.wait()

    (child,) = await children(platform, task)
    error = task.state.error
    assert error is not None
    assert (error.title, error.code) == ("CallFailed", "handler_error")
    assert f"the call of family.broken ({child.id}) has failed: no_text" in str(error.detail)
    assert family.runs == ["x", "x"]
    assert child.state.attempt == 2


async def test_the_next_attempt_does_not_repeat_what_has_succeeded(platform: Harness, family: Family) -> None:
    task = await platform.submit("family.again", "x")

    await task.result(timeout="20s")

    assert task.state.attempt == 2
    assert family.runs == [[1, 2]]


async def test_a_call_that_takes_too_long_is_given_up_and_its_child_cancelled(platform: Harness) -> None:
    task = await platform.submit("family.impatient", "x")

    said = await task.result(timeout="20s")

    assert "family.gated was not answered within" in said
    (child,) = await children(platform, task)
    await shown(child, "cancelled")
    assert child.state.cancel is not None
    assert "does not wait for it any longer" in str(child.state.cancel.reason)


async def test_an_unknown_kind_is_refused_where_it_is_called(platform: Harness) -> None:
    assert await (await platform.submit("family.stranger", "x")).result(timeout="20s") == "unknown_kind"


@pytest.mark.parametrize("kind", ["family.wait", "family.wait_in_thread"])
async def test_a_waiting_task_is_cancelled_with_its_child(platform: Harness, kind: str) -> None:
    task = await platform.submit(kind, "Ada")
    await shown(task, "waiting")
    (child,) = await children(platform, task)

    await task.cancel()

    await shown(task, "cancelled")
    await shown(child, "cancelled")
    worker = platform.platform.workers[0]
    assert (worker.view().running, worker.view().held) == (0, 0)


async def test_no_more_threads_block_than_the_service_allows() -> None:
    family = Family(slots=2, max_blocked=1)
    async with Harness(family.service) as platform:
        first = await platform.submit("family.wait_in_thread", "Ada")
        await shown(first, "waiting")
        second = await platform.submit("family.wait_in_thread", "Grace", max_attempts=1)

        async with asyncio.timeout(20):
            await second.wait()

        family.gate.set()
        assert second.state.error is not None
        assert second.state.error.title == "TooManyCalls"
        assert "max_blocked" in str(second.state.error.detail)
        assert await first.result(timeout="20s") == "Ada is done"


async def test_never_more_handlers_compute_than_there_are_slots() -> None:
    service = Service("busy", slots=2)
    at_work: set[object] = set()
    most = 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal most
        mine = object()
        with lock:
            at_work.add(mine)
            most = max(most, len(at_work))
        threading.Event().wait(0.01)
        with lock:
            at_work.discard(mine)

    @service.handler("busy.leaf")
    def leaf(n: int) -> int:
        work()
        return n

    @service.handler("busy.branch")
    def branch(n: int, ctx: Context) -> int:
        work()
        said = int(ctx.call("busy.leaf", n))
        work()
        return said

    async with Harness(service) as platform:
        tasks = [await platform.submit("busy.branch", n) for n in range(12)]
        assert [await task.result(timeout="40s") for task in tasks] == list(range(12))
    assert most == 2


async def test_a_worker_that_leaves_hands_a_waiting_attempt_back_at_once_and_the_next_joins_its_child() -> None:
    parent, child = Service("parent"), Service("child")
    gate = asyncio.Event()
    runs: list[int] = []

    @child.handler("child.gated")
    async def gated(nothing: None) -> str:
        runs.append(1)
        await gate.wait()
        return "done"

    @parent.handler("parent.wait")
    async def wait(nothing: None, ctx: Context) -> str:
        return str(await ctx.call("child.gated"))

    async with Harness(parent, child, settings={"drain_grace": "30s"}) as platform:
        task = await platform.submit("parent.wait")
        await shown(task, "waiting")
        platform.platform.workers[0].drain()
        await shown(task, "queued")
        gate.set()

        (called,) = await children(platform, task)
        assert await called.result(timeout="20s") == "done"
    assert runs == [1]


async def test_a_call_of_a_child_process_is_the_same() -> None:
    service = heavy.service.with_slots(1)
    async with Harness(service) as platform:
        task = await platform.submit("test.call", {"text": "test.shout"})

        said, _ = await task.result(timeout="40s")

        types = [event.type async for event in task.events(after=0)]
    assert said == "IT"
    assert "task.waiting" in types


async def test_what_happened_to_a_child_is_known_in_a_child_process_too() -> None:
    service = heavy.service.with_slots(1)
    async with Harness(service) as platform:
        task = await platform.submit("test.call", {"text": "test.wait"})
        await shown(task, "waiting")
        (child,) = await children(platform, task)
        await child.cancel()

        assert await task.result(timeout="40s") == [child.id, "cancelled", None]


async def test_the_example_of_the_guide_runs() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "services.md").read_text()
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "ctx.call(" in block]
    names: dict[str, Any] = {"__name__": "report"}
    exec(compile(code, "docs/services.md", "exec"), names)
    digest = Service("digest")

    @digest.handler("digest.summarise")
    async def summarise(document: dict[str, str]) -> dict[str, list[str]]:
        return {"sentences": [document["text"].partition(" ")[0]]}

    async with Harness(names["service"], digest) as platform:
        task = await platform.submit("report.write", ["One. Two.", "Three. Four."])

        assert await task.result(timeout="20s") == "One. Three."


async def test_no_message_that_is_lost_repeated_or_late_strands_a_call() -> None:
    """In real time, with threads; the simulation plays the same with thousands of seeds."""
    family = Family(slots=3)
    settings = {"heartbeat": timedelta(seconds=0.5), "lease": timedelta(seconds=5)}
    async with Harness(family.service, settings=settings) as platform:
        platform.broker.hub.faults = Faults(seed=1, drop=0.1, duplicate=0.1, delay=0.1, reorder=0.1)
        tasks = [await platform.submit("family.fan", 4, max_attempts=20) for _ in range(8)]
        tasks += [await platform.submit("family.deep", 3, max_attempts=20) for _ in range(3)]

        results = [await task.result(timeout="45s") for task in tasks]

        platform.broker.hub.faults = Faults()
        assert results == [[1, 2, 3, 4]] * 8 + [3] * 3
        assert platform.platform.workers[0].view().running == 0
