"""Workers that cannot run the same kinds share a queue: none of them starves, spins, or spoils the tokens of others."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

from backhaul import Service
from backhaul.broker.memory import MemoryBroker
from backhaul.core.clock import SystemClock
from backhaul.core.messages import topology
from backhaul.core.messages.relay import Relay
from backhaul.core.task.transitions import Rules
from backhaul.ledger import Ledger
from backhaul.settings import Settings
from backhaul.store import open_store
from backhaul.worker import Worker
from backhaul_contracts.claims import Claim
from tests.conformance.store.given import draft
from tests.support.deadlines import until

TASKS = 120


def service(kind: str, slots: int, done: list[str], gate: asyncio.Event) -> Service:
    made = Service(kind.partition(".")[0], slots=slots)

    @made.handler(kind, queue="shared")
    async def handle(said: Any) -> None:
        await gate.wait()
        done.append(kind)

    return made


async def test_an_idle_worker_with_many_slots_does_not_keep_a_busy_one_with_few_from_its_tasks(
    blocking_allowed: None,
) -> None:
    rules = Rules(retention=timedelta(hours=1), draw=lambda: 0.5)
    store = open_store("sqlite:///:memory:", clock=SystemClock(), rules=rules, inline=True)
    clock, broker, done, gate = SystemClock(), MemoryBroker(), list[str](), asyncio.Event()
    claims: list[Claim] = []
    async with AsyncExitStack() as stack:
        await store.start()
        stack.push_async_callback(store.stop)
        await broker.start()
        stack.push_async_callback(broker.stop)
        await broker.declare(topology.platform(1))
        relay = Relay(store, broker, clock)
        ledger = Ledger(store, broker, relay, settings=Settings(), clock=clock)
        answered = store.claim

        async def noting(asked: Any, lease: timedelta) -> Any:
            claims.extend(asked)
            return await answered(asked, lease)

        store.claim = noting  # type: ignore[assignment,method-assign]
        loops = [asyncio.create_task(loop) for loop in (relay.run(), ledger.run())]
        stop = asyncio.Event()
        workers = [
            Worker(
                each,
                broker,
                heartbeat=timedelta(seconds=5),
                max_result=2**20,
                drain_grace=timedelta(0),
                clock=clock,
            )
            for each in (service("idle.it", 50, done, gate), service("busy.it", 2, done, gate))
        ]
        runs = [asyncio.create_task(worker.run(stop=stop)) for worker in workers]
        async with asyncio.timeout(40):
            for worker in workers:
                await worker.announced.wait()
            _, dispatch = await store.accept([draft(kind="busy.it", queue="shared") for _ in range(TASKS)])
            relay.hand_over(dispatch)
            await until(lambda: any(claim.worker_id == workers[0].id for claim in claims))
            gate.set()
            await until(lambda: len(done) == TASKS, patience=timedelta(seconds=30))  # tokens come back in real time
            _, dispatch = await store.accept([draft(kind="idle.it", queue="shared")])
            relay.hand_over(dispatch)
            await until(lambda: done[-1] == "idle.it")
        dead = await broker.ready(topology.DEAD)
        stop.set()
        await asyncio.wait(runs)
        for loop in loops:
            loop.cancel()
        await asyncio.wait(loops)

    vain = [claim for claim in claims if claim.worker_id == workers[0].id]
    assert dead == 0
    assert len(vain) < 40
