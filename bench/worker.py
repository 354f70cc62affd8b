"""What a task that does nothing costs a worker: `python -m bench.worker [TASKS] [SLOTS]`.

A ledger and a broker stand in, in the same process; the processor time that they take is measured and taken off.
"""

import asyncio
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from backhaul import Service
from backhaul.core.clock import SystemClock
from backhaul.core.messages import topology
from backhaul.core.messages.topology import Topology
from backhaul.core.ports.broker import Broker, Delivery, Message, Subscription
from backhaul.worker import Worker
from backhaul_contracts import codec
from backhaul_contracts.beats import BeatAnswer
from backhaul_contracts.claims import ClaimAnswer, Grant, Verdict
from backhaul_contracts.envelope import CLOUDEVENT_BATCH
from backhaul_contracts.ids import new_task_id
from backhaul_contracts.messages import BeatAnswered, ClaimAnswered, ReportAnswered, write_batch
from backhaul_contracts.reports import Recorded, Ruling

_SOURCE = "/backhaul/ledger"
_CONFIRM_SECONDS = 0.001
_STARTED = datetime.now(UTC)


class _Delivered:
    content_type = CLOUDEVENT_BATCH

    def __init__(self, body: bytes, acked: Callable[[], None]) -> None:
        self.body = body
        self.ack = acked


class _Consumer:
    async def cancel(self) -> None:
        return None


class _Platform:
    """Broker and ledger in one: a token whenever there is credit, a grant for each, and everything is recorded."""

    connected = True

    def __init__(self, tasks: int) -> None:
        self.spent = 0.0
        self.done = asyncio.Event()
        self._tokens = self._tasks = tasks
        self._recorded = 0
        self._consumers: dict[str, Callable[[Delivery], None]] = {}
        self._answers: dict[str, Callable[[list[Any]], bytes]] = {
            topology.CLAIMS: self._grant,
            topology.BEATS: self._know,
        }

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """It is never disconnected."""

    async def declare(self, topology: Topology) -> None:
        """There is nothing to declare."""

    async def consume(
        self,
        queue: str,
        on_delivery: Callable[[Delivery], None],
        *,
        credit: int,
        on_lost: Callable[[], None] | None = None,
    ) -> Subscription:
        self._consumers[queue.rpartition(".")[0] if queue.startswith(topology.REPLIES) else queue] = on_delivery
        if queue.startswith(topology.TASKS):
            for _ in range(credit):
                self._later(queue)
        return cast("Subscription", _Consumer())

    async def publish(self, messages: Sequence[Message]) -> None:
        before = time.thread_time()
        answers = [self._answers.get(m.routing_key, self._record)(codec.loads(m.body)) for m in messages]
        self.spent += time.thread_time() - before
        await asyncio.sleep(_CONFIRM_SECONDS)
        for answer in answers:
            self._consumers[topology.REPLIES](cast("Delivery", _Delivered(answer, lambda: None)))

    def _later(self, queue: str) -> None:
        asyncio.get_running_loop().call_soon(self._deliver, queue)

    def _deliver(self, queue: str) -> None:
        if self._tokens:
            self._tokens -= 1
            self._consumers[queue](cast("Delivery", _Delivered(b"{}", lambda: self._later(queue))))

    def _grant(self, claims: list[Any]) -> bytes:
        answers = [
            ClaimAnswer.model_construct(
                claim_id=claim["data"]["claim_id"],
                worker_id="",
                verdict=Verdict.GRANTED,
                grants=[_grant() for _ in range(claim["data"]["limit"])],
            )
            for claim in claims
        ]
        return write_batch(_SOURCE, ClaimAnswered, answers)

    def _know(self, beats: list[Any]) -> bytes:
        numbers = [beat["data"]["number"] for beat in beats]
        answers = [BeatAnswer(worker_id="", number=number, known=True, lease_seconds=20) for number in numbers]
        return write_batch(_SOURCE, BeatAnswered, answers)

    def _record(self, reports: list[Any]) -> bytes:
        self._recorded += len(reports)
        if self._recorded == self._tasks:
            self.done.set()
        answers = [
            Recorded(task_id=report["data"]["task_id"], attempt=1, number=1, ruling=Ruling.RECORDED)
            for report in reports
        ]
        return write_batch(_SOURCE, ReportAnswered, answers)


def _grant() -> Grant:
    return Grant.model_construct(
        task_id=new_task_id(),
        kind="bench.nothing",
        version="1",
        tenant="default",
        attempt=1,
        max_attempts=3,
        token="x" * 26,
        input={"text": "hello"},
        metadata={},
        checkpoint=None,
        timeout=timedelta(minutes=10),
        started_at=_STARTED,
        parent_id=None,
        traceparent=None,
    )


def _service(slots: int) -> Service:
    service = Service("bench", slots=slots)

    @service.handler("bench.nothing")
    async def nothing(input: dict[str, str]) -> None:
        return None

    return service


async def _measure(tasks: int, slots: int) -> None:
    platform = _Platform(tasks)
    worker = Worker(
        _service(slots),
        cast("Broker", platform),
        heartbeat=timedelta(seconds=5),
        max_result=2**20,
        drain_grace=timedelta(0),
        clock=SystemClock(),
    )
    stop = asyncio.Event()
    before, started = time.process_time(), time.perf_counter()
    run = asyncio.create_task(worker.run(stop=stop))
    await platform.done.wait()
    cpu, wall = time.process_time() - before - platform.spent, time.perf_counter() - started
    stop.set()
    await run
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{slots} slots: {cpu / tasks * 1e6:.0f} µs a task, {tasks / wall:,.0f} tasks/s, peak {peak:.0f} MiB")


def _run(main: Awaitable[None]) -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(cast("Any", main))


if __name__ == "__main__":
    count, *given = (int(argument) for argument in sys.argv[1:] or ("20000",))
    for slots in given or (5, 20, 100, 500):
        _run(_measure(count, slots))
