"""When the reaper takes leases away, and what it publishes at a time."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import pytest

from backhaul.broker.memory import MemoryBroker
from backhaul.core.errors import ConfigurationError
from backhaul.core.messages import topology
from backhaul.core.messages.announcements import spare_tokens
from backhaul.core.messages.relay import Relay
from backhaul.core.messages.topology import Queue, Topology
from backhaul.core.ports.store import Store
from backhaul.core.task.commands import Lose
from backhaul.ledger.balance import Balance
from backhaul.ledger.reaper import Reaper
from backhaul.ledger.taskqueues import TaskQueues
from backhaul.testing import ManualClock
from backhaul_contracts.ids import TaskId, new_task_id
from tests.unit.ledger.prompt_clock import PromptClock

LEASE = timedelta(seconds=20)
TICK = timedelta(milliseconds=500)


@dataclass
class OneLapsed:
    """The calls of the store that matter here: it finds another lapsed attempt each time."""

    clock: ManualClock

    async def now(self) -> datetime:
        return self.clock.now()

    async def lapsed(self, limit: int) -> list[Lose]:
        return [Lose(new_task_id(), 1)]


@dataclass
class LaggingRecorder(OneLapsed):
    """Attempts that stay lapsed, since nobody has read yet what was sent."""

    count: int

    async def lapsed(self, limit: int) -> list[Lose]:
        return [Lose(TaskId(f"tsk_{n}"), 1) for n in range(min(limit, self.count))]


@dataclass
class Stage:
    clock: ManualClock
    broker: MemoryBroker
    store: Store
    _queues: TaskQueues | None = None
    _balance: Balance | None = None

    @property
    def queues(self) -> TaskQueues:
        if self._queues is None:
            self._queues = TaskQueues(self.broker, PromptClock())
        return self._queues

    @property
    def balance(self) -> Balance:
        if self._balance is None:
            self._balance = Balance(self.store, self.broker, self.queues)
        return self._balance

    def reaper(self, *, alone: bool = False) -> Reaper:
        relay = Relay(self.store, self.broker, self.clock)
        return Reaper(self.store, self.broker, relay, self.balance, self.clock, "/test", patience=LEASE, alone=alone)

    async def look(self, reaper: Reaper, length: timedelta) -> int:
        """How many attempts it declares lost while it looks at every tick for this long."""
        before = await self._lost()
        for _ in range(length // TICK):
            self.clock.advance(TICK)
            await reaper.reap()
        return await self._lost() - before

    async def tokens(self, *queues: str) -> list[int | None]:
        return [await self.broker.ready(topology.task_queue(queue)) for queue in queues]

    async def _lost(self) -> int:
        return await self.broker.ready(topology.ledger_queue(0)) or 0


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    clock = ManualClock()
    broker = MemoryBroker(clock=clock)
    await broker.start()
    await broker.declare(topology.platform(1))
    yield Stage(clock, broker, cast("Store", OneLapsed(clock)))
    await broker.stop()


async def test_it_waits_for_a_lease_after_its_start(stage: Stage) -> None:
    reaper = stage.reaper()

    assert await stage.look(reaper, LEASE) == 0
    assert await stage.look(reaper, TICK) == 1


async def test_alone_it_takes_leases_of_before_at_once(stage: Stage) -> None:
    assert await stage.look(stage.reaper(alone=True), TICK) == 1


async def test_it_waits_for_a_lease_after_the_broker_was_away(stage: Stage) -> None:
    reaper = stage.reaper()
    await stage.look(reaper, LEASE)

    stage.broker.lose()
    await reaper.reap()
    stage.broker.restore()

    assert await stage.look(reaper, LEASE) == 0
    assert await stage.look(reaper, TICK) == 1


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("set_by", [timedelta(minutes=5), timedelta(minutes=-5)])
async def test_it_waits_for_a_lease_after_it_stood_still_or_the_clock_was_set(
    stage: Stage, set_by: timedelta, alone: bool
) -> None:
    reaper = stage.reaper(alone=alone)
    await stage.look(reaper, LEASE + TICK)

    stage.clock.advance(set_by)

    assert await stage.look(reaper, LEASE) == 0
    assert await stage.look(reaper, 2 * TICK) > 0


async def test_a_lapse_is_sent_once_in_a_lease_however_long_the_recorder_takes(stage: Stage) -> None:
    stage.store = cast("Store", LaggingRecorder(stage.clock, count=1_700))
    reaper = stage.reaper(alone=True)

    assert await stage.look(reaper, LEASE) == 1_700
    assert await stage.look(reaper, LEASE) == 1_700


@dataclass
class Waiting:
    """A store in which tasks wait in queues."""

    queues: dict[str, int]

    async def claimable(self) -> dict[str, int]:
        return self.queues


async def test_tokens_are_issued_for_a_queue_that_has_had_none_for_two_looks(stage: Stage) -> None:
    stage.store = cast("Store", Waiting({"short": 3, "served": 3, "empty": 0}))
    await stage.queues.declare(["short", "served", "empty"])
    await stage.balance.issue("served", 1)

    await stage.balance.balance()
    first = await stage.tokens("short", "served", "empty")
    await stage.balance.balance()

    assert first == [0, 1, 0]
    assert await stage.tokens("short", "served", "empty") == [3, 1, 0]


async def test_a_queue_that_was_deleted_is_made_again_and_gets_its_tokens(stage: Stage) -> None:
    stage.store = cast("Store", Waiting({"gone": 2}))

    for _ in range(3):
        await stage.balance.balance()

    assert await stage.tokens("gone") == [2]


async def test_a_queue_that_does_not_fit_hinders_no_other_and_is_complained_of_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.store = cast("Store", Waiting({"misfit": 2, "fine": 2}))
    await stage.broker.declare(Topology(queues=(Queue(topology.task_queue("misfit"), delivery_limit=3),)))

    misfits = await stage.queues.declare(["misfit", "fine"])
    await stage.queues.declare(["misfit", "fine"])
    for _ in range(3):
        await stage.balance.balance()

    assert len(misfits) == 1
    assert stage.queues.misfits == misfits
    assert caplog.text.count("other properties") == 1
    assert await stage.tokens("fine") == [2]


async def test_what_is_set_up_wrong_is_said_once_and_tried_again(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    reaper = stage.reaper()
    tries = 0
    enough = asyncio.Event()

    async def act() -> bool:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise ConfigurationError("RabbitMQ does not let us: ask somebody")
        enough.set()
        return False

    loop = asyncio.create_task(reaper._every(TICK, act))
    while not enough.is_set():
        stage.clock.advance(TICK)
        await asyncio.sleep(0)
    loop.cancel()

    assert caplog.text.count("does not let us") == 1


async def test_surplus_tokens_are_taken_away_and_enough_are_left(stage: Stage) -> None:
    stage.store = cast("Store", Waiting({"some": 300}))
    await stage.queues.declare(["none", "some"])
    for queue in ("none", "some"):
        await stage.broker.publish(spare_tokens(queue, 1_000) * 12)

    while await stage.balance.balance():
        pass

    assert await stage.tokens("none", "some") == [1_000, 1_300]


async def test_a_ledger_that_ends_while_it_takes_tokens_away_takes_no_more(stage: Stage) -> None:
    await stage.queues.declare(["some"])
    await stage.broker.publish(spare_tokens("some", 3))
    taking = asyncio.create_task(stage.balance._drop("some", 10))
    while await stage.broker.ready(topology.task_queue("some")):
        await asyncio.sleep(0)

    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    await stage.broker.publish(spare_tokens("some", 5))

    assert await stage.tokens("some") == [5]
    assert stage.balance.dropped == 3


async def test_a_large_backlog_keeps_its_tokens(stage: Stage) -> None:
    """The store counts to 1,000 only."""
    stage.store = cast("Store", Waiting({"large": 1_000}))
    await stage.queues.declare(["large"])
    await stage.broker.publish(spare_tokens("large", 1_000) * 5)

    assert not await stage.balance.balance()

    assert await stage.tokens("large") == [5_000]


async def test_a_queue_whose_tokens_were_dropped_by_the_wrong_workers_gets_a_few_soon(stage: Stage) -> None:
    stage.store = cast("Store", Waiting({"missed": 300, "served": 300}))
    await stage.queues.declare(["missed", "served"])
    await stage.balance.issue("served", 1)

    for queue in ("missed", "served", "done"):
        stage.balance.missed(queue)
    await stage.balance.refill()
    await stage.balance.refill()

    assert await stage.tokens("missed", "served") == [50, 1]
