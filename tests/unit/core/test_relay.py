"""What the relay publishes at once, and what it settles."""

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from backhaul.core.errors import BrokerUnavailable, StoreUnavailable
from backhaul.core.messages import topology
from backhaul.core.messages.relay import Relay
from backhaul.core.ports.broker import Broker, Message
from backhaul.core.ports.dispatch import Dispatch, Happening, Token
from backhaul.core.ports.store import Store
from backhaul.core.task.record import Event, RawJson, Record
from backhaul.testing import ManualClock
from backhaul_contracts.events import EventType
from backhaul_contracts.ids import TaskId, new_task_id
from backhaul_contracts.tasks import Status

NOW = datetime(2030, 1, 1, tzinfo=UTC)
MIB = 2**20


@dataclass
class BrokerThatConfirmsSlowly:
    """Confirms so many messages in the time that a publish may take, and no more."""

    most: int
    connected: bool = True
    taken: list[Message] = field(default_factory=list)
    largest: int = 0

    async def publish(self, messages: Sequence[Message]) -> None:
        self.largest = max(self.largest, sum(len(message.body) for message in messages))
        await asyncio.sleep(0)
        if len(messages) > self.most:
            raise BrokerUnavailable(f"{len(messages)} messages were not confirmed in time")
        self.taken.extend(messages)


@dataclass
class Outbox:
    """The one call of the store that matters here; it fails so many times first."""

    settled: list[str] = field(default_factory=list)
    failures: int = 0
    asked: int = 0

    async def settle(self, outbox_ids: Sequence[str]) -> None:
        self.asked += 1
        if self.asked <= self.failures:
            raise StoreUnavailable("the store is away")
        self.settled.extend(outbox_ids)


def happening(type: EventType, data: str = "{}") -> Happening:
    values: dict[str, Any] = dict.fromkeys(("timeout", "grace", "retry_base", "retry_cap"), timedelta(0))
    task_id = new_task_id()
    record = Record(
        id=task_id,
        tenant="default",
        kind="test.echo",
        version="1",
        queue="test",
        status=Status.QUEUED,
        max_attempts=1,
        created_at=NOW,
        **values,
    )
    return Happening(record, Event(task_id, 1, 0, type, NOW, RawJson(data)))


def dispatch(number: int, tasks: int) -> Dispatch:
    tokens = tuple(Token("test", TaskId("")) for _ in range(tasks))
    return Dispatch(str(number), tokens, tuple(happening(EventType.QUEUED) for _ in range(tasks)))


def relay(broker: BrokerThatConfirmsSlowly, outbox: Outbox) -> Relay:
    return Relay(cast("Store", outbox), cast("Broker", broker), ManualClock())


async def test_a_large_debt_is_paid_in_portions_that_the_broker_can_confirm() -> None:
    broker, outbox = BrokerThatConfirmsSlowly(most=2_500), Outbox()

    await relay(broker, outbox).publish([dispatch(n, tasks=1_500) for n in range(5)])

    assert len(broker.taken) == 5 * 2 * 1_500
    assert outbox.settled == ["0", "1", "2", "3", "4"]


async def test_what_was_published_before_an_outage_is_settled() -> None:
    broker, outbox = BrokerThatConfirmsSlowly(most=1_500), Outbox()

    with pytest.raises(BrokerUnavailable):
        await relay(broker, outbox).publish([dispatch(0, tasks=700), dispatch(1, tasks=900)])

    assert outbox.settled == ["0"]


async def test_live_events_travel_in_messages_that_no_broker_refuses() -> None:
    broker = BrokerThatConfirmsSlowly(most=100)
    relaying = relay(broker, Outbox())
    running = asyncio.create_task(relaying.run())
    outputs = [happening(EventType.OUTPUT, f'{{"delta":"{"x" * MIB}"}}') for _ in range(20)]

    relaying.hand_over(Dispatch(None, (), tuple(outputs)))
    async with asyncio.timeout(10):
        while sum(message.exchange == topology.LIVE for message in broker.taken) < len(outputs):
            await asyncio.sleep(0)

    seen = [event["task_id"] for each in broker.taken for event in json.loads(each.body)["data"]["events"]]
    assert seen == [output.event.task_id for output in outputs]
    assert broker.largest < 2 * MIB
    running.cancel()


async def test_what_a_broker_does_not_confirm_in_time_is_left_to_the_sweep_beyond_a_bound(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker, outbox = BrokerThatConfirmsSlowly(most=2_000), Outbox()
    stuck = relay(broker, outbox)

    for number in range(60):
        stuck.hand_over(dispatch(number, tasks=500))
    run = asyncio.create_task(stuck.run())
    while len(broker.taken) < 50_000:
        await asyncio.sleep(0)
    run.cancel()
    await asyncio.wait((run,))

    told = [record for record in caplog.records if "until it is swept" in record.message]
    assert len([message for message in broker.taken if message.exchange == topology.TASKS]) == 50 * 500
    assert sorted(map(int, outbox.settled)) == list(range(50)), "what was never published is owed still"
    assert len(told) == 1


async def test_that_nothing_can_be_settled_is_said_once_in_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "backhaul.relay")
    outbox, clock = Outbox(failures=3), ManualClock()
    relaying = Relay(cast("Store", outbox), cast("Broker", BrokerThatConfirmsSlowly(most=100)), clock)
    running = asyncio.create_task(relaying.run())

    for number in range(4):
        relaying.hand_over(dispatch(number, tasks=1))
        async with asyncio.timeout(10):
            while outbox.asked <= number:
                await asyncio.sleep(0)
                clock.advance(timedelta(milliseconds=100))
    running.cancel()
    await asyncio.wait((running,))

    assert outbox.settled == ["3"]
    assert [record.message for record in caplog.records] == [
        "what was published stays owed, and is published once more: the store is away",
        "forgetting what was published is well again",
    ]


async def test_what_is_left_at_the_end_is_published_and_settled() -> None:
    broker, outbox = BrokerThatConfirmsSlowly(most=100), Outbox()
    relaying = relay(broker, outbox)
    running = asyncio.create_task(relaying.run())
    await asyncio.sleep(0)
    relaying.hand_over(dispatch(1, tasks=2))
    while len(broker.taken) < 4:
        await asyncio.sleep(0)

    relaying.hand_over(dispatch(2, tasks=1))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert [message.exchange for message in broker.taken].count(topology.TASKS) == 3
    assert sorted(outbox.settled) == ["1", "2"]
