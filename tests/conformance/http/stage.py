"""A gateway on its stage: a store and a broker behind it, a client before it, and the test itself as the worker."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar

import httpx
from fastapi import FastAPI

from backhaul.core.messages import topology
from backhaul.core.messages.relay import Relay
from backhaul.core.ports.broker import Broker, Delivery
from backhaul.core.ports.store import Store
from backhaul.core.task.commands import Command
from backhaul.core.task.transitions import Change, Refusal
from backhaul.gateway import Gateway, create_app
from backhaul.settings import Settings
from backhaul.testing.clock import ManualClock
from backhaul.wiring.http import HttpServer
from backhaul_contracts.beats import Beat
from backhaul_contracts.claims import Capacity, Claim
from backhaul_contracts.failures import Failure
from backhaul_contracts.ids import TaskId, new_id
from backhaul_contracts.kinds import KindSpec, RetryRule
from backhaul_contracts.reports import (
    FailedReport,
    LogReport,
    OutputReport,
    ProgressReport,
    StoppedReport,
    SucceededReport,
)
from backhaul_contracts.tasks import Progress

T = TypeVar("T")

KIND = KindSpec(
    kind="digest.summarise",
    version="1",
    service="digest",
    service_version="1.0.0",
    queue="digest",
    timeout=timedelta(minutes=10),
    grace=timedelta(seconds=5),
    retry=RetryRule(max_attempts=2, base=timedelta(seconds=1), cap=timedelta(minutes=5)),
    input_schema={
        "type": "object",
        "properties": {"text": {"type": "string"}, "pages": {"$ref": "#/$defs/Pages"}},
        "required": ["text"],
        "$defs": {"Pages": {"type": "array", "items": {"type": "integer"}}},
    },
    result_schema={"type": "object"},
)
LEASE = timedelta(seconds=20)
HERE = "http://127.0.0.1"


def body(**fields: Any) -> dict[str, Any]:
    """A submission that is valid."""
    return {"kind": KIND.kind, "input": {"text": "One."}, **fields}


@dataclass
class Attempt:
    """One attempt of a task, run by the test."""

    stage: "Stage"
    task_id: str
    number: int
    token: str
    reports: "count[int]" = field(default_factory=lambda: count(1))

    async def progress(self, done: float, total: float | None = None) -> None:
        await self._report(ProgressReport, progress=Progress(done=done, total=total))

    async def output(self, *deltas: Any) -> None:
        await self.stage.apply([OutputReport(**self._head(), delta=delta) for delta in deltas])

    async def log(self, message: str) -> None:
        await self._report(LogReport, message=message)

    async def succeed(self, result: Any) -> None:
        await self._report(SucceededReport, result=result)

    async def fail(self, code: str = "too_long", *, retryable: bool = False) -> None:
        failure = Failure(code=code, title="The text is too long", detail="900 pages", retryable=retryable)
        await self._report(FailedReport, failure=failure, retry_after=timedelta(seconds=30))

    async def stop(self) -> None:
        await self._report(StoppedReport)

    async def _report(self, kind: type[Any], **fields: Any) -> None:
        await self.stage.apply([kind(**self._head(), **fields)])

    def _head(self) -> dict[str, Any]:
        return {
            "task_id": self.task_id,
            "attempt": self.number,
            "token": self.token,
            "number": next(self.reports),
        }


@dataclass
class Stage:
    """`http` calls the application directly; `follow` does so over a real connection."""

    store: Store
    broker: Broker
    relay: Relay
    gateway: Gateway
    clock: ManualClock
    app: FastAPI
    http: httpx.AsyncClient
    serving: AsyncExitStack
    url: str | None = None

    async def submit(self, **fields: Any) -> dict[str, Any]:
        """A new task."""
        answer = await self.http.post("/v1/tasks", json=body(**fields))
        assert answer.status_code == 202, answer.text
        task: dict[str, Any] = answer.json()
        return task

    async def task(self, task_id: str) -> dict[str, Any]:
        """The task as it is now."""
        answer = await self.http.get(f"/v1/tasks/{task_id}")
        assert answer.status_code == 200, answer.text
        task: dict[str, Any] = answer.json()
        return task

    async def start(self, task_id: str, worker_id: str = "wrk_1") -> Attempt:
        """An attempt of the task, which must be the one that waits."""
        capacity = Capacity(kind=KIND.kind, version=KIND.version, count=1)
        claim = Claim(claim_id=new_id("clm"), worker_id=worker_id, queue=KIND.queue, limit=1, capacities=[capacity])
        beat = Beat(worker_id=worker_id, number=1, service="stage", version="1", slots=1, running=0)
        await self.store.beat([beat], LEASE)
        (granted,), dispatch = await self.store.claim([claim], LEASE)
        self.relay.hand_over(dispatch)
        assert granted is not None
        record = granted.snapshots[0].record
        assert record.id == task_id
        assert record.token is not None
        return Attempt(self, task_id, record.attempt, record.token)

    async def run(self, task_id: str, result: Any) -> None:
        """Start the task and let it succeed."""
        await (await self.start(task_id)).succeed(result)

    async def apply(self, commands: Sequence[Command]) -> list[Change | Refusal]:
        """Apply commands as a ledger does."""
        results, dispatch = await self.store.advance(commands)
        self.relay.hand_over(dispatch)
        return results

    @asynccontextmanager
    async def follow(self, path: str, method: str = "GET", **request: Any) -> AsyncIterator["Stream"]:
        """An open event stream, over a real connection."""
        async with (
            httpx.AsyncClient(base_url=await self.serve(), timeout=10, trust_env=False) as client,
            client.stream(method, path, **request) as response,
        ):
            yield Stream(response)

    async def serve(self) -> str:
        """The URL at which the application is served on loopback, until `stop_serving` or the end of the test."""
        if self.url is None:
            limit = self.gateway.settings.max_body
            server = HttpServer(self.app, "127.0.0.1", 0, on_stop=self.gateway.drain, longest_message=limit)
            await self.serving.enter_async_context(server.running())
            self.url = server.url
        return self.url

    async def stop_serving(self) -> None:
        """Stop the server as a process that ends does."""
        await self.serving.aclose()

    async def hear_control(self, worker_id: str, on_delivery: Callable[[Delivery], None]) -> None:
        """Hear what workers hear on `backhaul.control`."""
        mailbox = topology.mailbox(topology.CONTROL, worker_id)
        await self.broker.declare(mailbox)
        await self.broker.consume(mailbox.queues[0].name, on_delivery, credit=10)

    async def watched(self, task_id: str) -> None:
        """Return when someone waits for news of the task."""
        await self.until(lambda: bool((topic := self.gateway.feed.topics.get(TaskId(task_id))) and topic.seq))

    async def until(self, met: Callable[[], bool]) -> None:
        """Return as soon as `met`."""
        async with asyncio.timeout(5):
            while not met():
                await asyncio.sleep(0)

    async def while_time_passes(self, awaited: Coroutine[Any, Any, T], step: timedelta = timedelta(seconds=1)) -> T:
        """What `awaited` returns, while the clock goes on step by step until it does."""
        task = asyncio.ensure_future(awaited)
        async with asyncio.timeout(10):
            while not task.done():
                self.clock.advance(step)
                await asyncio.wait({task}, timeout=0.01)
        return task.result()


class Stream:
    """An event stream being read."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def event(self) -> dict[str, Any]:
        """The next event: its `id` and `event`, and its `data` as a value. Comments and `retry` are passed over."""
        fields: dict[str, Any] = {}
        while line := await self.line() or not fields:
            name, _, value = str(line).partition(": ")
            if name in ("id", "event", "data"):
                fields[name] = json.loads(value) if name == "data" else value
        return fields

    async def line(self) -> str:
        """The next line, whatever it is."""
        async with asyncio.timeout(10):
            return await anext(self._lines)

    def remaining(self) -> AsyncIterator[str]:
        """Every line until the server closes."""
        return self._lines

    async def rest(self) -> list[dict[str, Any]]:
        """Every event until the server closes."""
        events = []
        while True:
            try:
                events.append(await self.event())
            except StopAsyncIteration:
                return events


@asynccontextmanager
async def staged(
    store: Store, broker: Broker, clock: ManualClock, settings: Settings | None = None
) -> AsyncIterator[Stage]:
    """A stage over a started store and a started broker."""
    relay = Relay(store, broker, clock)
    gateway = Gateway(store, broker, relay, settings=settings or Settings(), clock=clock)
    app = create_app(gateway)
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=HERE) as http,
        asyncio.TaskGroup() as loops,
    ):
        running = [loops.create_task(relay.run()), loops.create_task(gateway.run())]
        async with AsyncExitStack() as serving:
            yield Stage(store, broker, relay, gateway, clock, app, http, serving)
        for loop in running:
            loop.cancel()
