"""What a worker leaves behind goes on elsewhere, and is not held against the task."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from backhaul import Service
from backhaul.broker.memory import MemoryBroker
from backhaul.core.clock import SystemClock
from backhaul.core.messages import topology
from backhaul.core.messages.relay import Relay
from backhaul.core.ports.broker import Message
from backhaul.core.task.record import Record, Snapshot
from backhaul.core.task.transitions import Rules
from backhaul.ledger import Ledger
from backhaul.settings import Settings
from backhaul.store import SqlStore, open_store
from backhaul.worker import Worker
from backhaul_contracts.beats import Beat, Held
from backhaul_contracts.claims import Capacity, Claim
from backhaul_contracts.envelope import CLOUDEVENT_BATCH
from backhaul_contracts.ids import TaskId, new_id
from backhaul_contracts.messages import Beaten, Claimed, Reported, write_batch
from backhaul_contracts.reports import SucceededReport
from backhaul_contracts.tasks import Status
from tests.conformance.store.given import KIND, LEASE, QUEUE, beat, draft, records
from tests.unit.worker.scripted_ledger import PATIENCE

pytestmark = pytest.mark.usefixtures("blocking_allowed")


@dataclass
class Stage:
    """A store and a broker; ledgers come and go, workers too."""

    store: SqlStore
    hub: MemoryBroker
    clock: SystemClock = field(default_factory=SystemClock)

    @asynccontextmanager
    async def ledger(self) -> AsyncIterator[None]:
        relay = Relay(self.store, self.hub, self.clock)
        ledger = Ledger(self.store, self.hub, relay, settings=Settings(), clock=self.clock)
        loops = [asyncio.create_task(loop) for loop in (relay.run(), ledger.run())]
        yield
        for loop in loops:
            loop.cancel()
        await asyncio.wait(loops)

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Worker]:
        """A worker that echoes, and has announced it."""
        service = Service("test")

        @service.handler(KIND, queue=QUEUE)
        async def echo(said: Any) -> Any:
            return said

        worker = Worker(
            service,
            self.hub,
            heartbeat=timedelta(seconds=5),
            max_result=2**20,
            drain_grace=timedelta(0),
            clock=self.clock,
        )
        stop = asyncio.Event()
        run = asyncio.create_task(worker.run(stop=stop))
        async with asyncio.timeout(PATIENCE):
            await worker.announced.wait()
            yield worker
            stop.set()
            await run

    async def say(self, queue: str, kind: Any, *items: Any, sender: str = "wrk_ghost") -> None:
        await self.hub.publish(
            [
                Message(
                    exchange="",
                    routing_key=queue,
                    body=write_batch("/test", kind, items),
                    content_type=CLOUDEVENT_BATCH,
                    reply_to=sender,
                )
            ]
        )

    async def submit(self) -> TaskId:
        """A task that may fail once, no oftener."""
        (admission,), _ = await self.store.accept([draft(max_attempts=1)])
        return admission.snapshot.record.id

    async def ended(self, task_id: TaskId) -> Record:
        async with asyncio.timeout(PATIENCE):
            while True:
                record = (await self.now(task_id)).record
                if record.status.done:
                    return record
                await asyncio.sleep(0.01)  # the store has no event to await

    async def now(self, task_id: TaskId) -> Snapshot:
        snapshot = await self.store.snapshot("default", task_id)
        assert snapshot is not None
        return snapshot


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    store = open_store(
        "sqlite:///:memory:",
        clock=SystemClock(),
        rules=Rules(retention=timedelta(hours=1), draw=lambda: 0.5),
        inline=True,
    )
    broker = MemoryBroker(clock=SystemClock())
    await store.start()
    await broker.start()
    await broker.declare(topology.platform(1))
    yield Stage(store, broker)
    await broker.stop()
    await store.stop()


def ghost(number: int = 1, state: str = "ready", *held: Held) -> Beat:
    return beat(number=number, worker="wrk_ghost", state=state, held=list(held))


def asking(beat: int = 1) -> Claim:
    capacity = Capacity(kind=KIND, version="1", count=1)
    return Claim(claim_id=new_id("clm"), worker_id="wrk_ghost", queue=QUEUE, limit=1, capacities=[capacity], beat=beat)


async def test_a_task_granted_to_a_worker_that_has_drained_is_run_elsewhere_at_once(stage: Stage) -> None:
    """The claim was not answered before its worker left: whichever of the two is read first."""
    await stage.store.beat([ghost()], LEASE)
    await stage.say(topology.CLAIMS, Claimed, asking())
    await stage.say(topology.BEATS, Beaten, ghost(2, "gone"))
    task_id = await stage.submit()

    async with stage.ledger(), stage.worker():
        record = await stage.ended(task_id)

    assert (record.status, record.failures) == (Status.SUCCEEDED, 0)


async def test_a_claim_of_a_worker_that_has_died_meanwhile_costs_the_task_nothing(stage: Stage) -> None:
    await stage.store.beat([ghost()], LEASE)
    await stage.store.end_leases()
    await stage.say(topology.CLAIMS, Claimed, asking())
    task_id = await stage.submit()

    async with stage.ledger(), stage.worker():
        record = await stage.ended(task_id)

    assert (record.status, record.attempt, record.failures) == (Status.SUCCEEDED, 1, 0)


async def test_what_a_drained_worker_could_not_finish_goes_on_elsewhere_at_once(stage: Stage) -> None:
    await stage.store.beat([ghost()], LEASE)
    task_id = await stage.submit()
    (granted,), _ = await stage.store.claim([asking()], LEASE)
    assert granted is not None
    (record,) = records(granted)
    await stage.say(topology.BEATS, Beaten, ghost(2, "gone", _held(record)))

    async with stage.ledger(), stage.worker():
        record = await stage.ended(task_id)

    assert (record.status, record.attempt, record.failures) == (Status.SUCCEEDED, 2, 0)


async def test_reports_that_a_drained_worker_has_sent_count_before_its_farewell(stage: Stage) -> None:
    await stage.store.beat([ghost()], LEASE)
    task_id = await stage.submit()
    (granted,), _ = await stage.store.claim([asking()], LEASE)
    assert granted is not None
    (record,) = records(granted)
    said = SucceededReport(task_id=task_id, attempt=1, token=str(record.token), number=1, result="by the first")
    await stage.say(topology.ledger_queue(0), Reported, said)
    await stage.say(topology.BEATS, Beaten, ghost(2, "gone", _held(record)))

    async with stage.ledger(), stage.worker():
        await stage.ended(task_id)
        snapshot = await stage.now(task_id)

    assert (snapshot.record.attempt, snapshot.result) == (1, '"by the first"')


def _held(record: Record) -> Held:
    return Held(task_id=record.id, attempt=record.attempt, token=str(record.token))
