"""A worker over a real RabbitMQ, with a scripted ledger: what only a real broker can get wrong."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from backhaul import Service
from backhaul.broker.rabbitmq import RabbitBroker
from backhaul.core.clock import SystemClock
from backhaul.core.messages import topology
from backhaul.worker import Worker
from tests.support.deadlines import until
from tests.unit.worker.scripted_ledger import ScriptedLedger

PATIENCE = 30


@asynccontextmanager
async def at_work(url: str, service: Service, heartbeat: timedelta) -> AsyncIterator[tuple[ScriptedLedger, Worker]]:
    """The service's worker and its ledger, each with a connection of its own."""
    brokers = RabbitBroker(url, name="worker"), RabbitBroker(url, name="ledger")
    for broker in brokers:
        await broker.start()
    ledger = ScriptedLedger(brokers[1])
    worker = Worker(
        service,
        brokers[0],
        heartbeat=heartbeat,
        max_result=2**20,
        drain_grace=timedelta(0),
        clock=SystemClock(),
    )
    stop = asyncio.Event()
    await brokers[1].declare(topology.platform(1))
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        playing = group.create_task(ledger.run())
        group.create_task(worker.run(stop=stop)).add_done_callback(lambda _: playing.cancel())
        await worker.announced.wait()
        yield ledger, worker
        stop.set()
    for broker in brokers:
        await broker.stop()


async def test_many_short_tasks_go_through_few_slots(amqp_url: str) -> None:
    service = Service("test", slots=20)

    @service.handler("test.echo")
    async def echo(number: int) -> int:
        return number

    async with at_work(amqp_url, service, timedelta(seconds=5)) as (ledger, _):
        grants = [await ledger.offer("test.echo", number, token=False) for number in range(1000)]
        await ledger.issue(count=1000)
        results = [(await ledger.outcome(grant)).result for grant in grants]

    assert results == list(range(1000))


async def test_tokens_of_long_tasks_are_settled_early_and_slots_are_kept(amqp_url: str) -> None:
    service = Service("test", slots=3)
    running = most = 0
    ends: asyncio.Queue[None] = asyncio.Queue()

    @service.handler("test.long")
    async def long(nothing: None) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await ends.get()
        running -= 1

    async with at_work(amqp_url, service, timedelta(seconds=0.1)) as (ledger, worker):
        grants = [await ledger.offer("test.long") for _ in range(12)]
        await until(lambda: len(ledger.beats) == 10)
        assert worker._shift is not None
        held = [attempt.token for attempt in worker._shift.attempts.running if attempt.token]
        for _ in grants:
            ends.put_nowait(None)
        for grant in grants:
            await ledger.outcome(grant)
        left = await ledger.broker.ready(topology.task_queue("test"))

    assert held == []
    assert most == 3
    assert left == 0
