"""What a task costs in the store: accept → claim → succeed in batches, on PostgreSQL and on SQLite.

    python -m bench.store [--tasks N] [--batch N] [--payload BYTES] [--url URL] [--profile]

Prints, for each step and each task, the microseconds that pass and those that this process computes.
"""

import argparse
import asyncio
import cProfile
import pstats
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

from backhaul.core.clock import SystemClock
from backhaul.core.task.record import Draft, RawJson, Record
from backhaul.core.task.transitions import Rules
from backhaul.store import SqlStore, open_store, upgrade
from backhaul_contracts.beats import Beat
from backhaul_contracts.claims import Capacity, Claim
from backhaul_contracts.ids import new_id, new_task_id
from backhaul_contracts.reports import SucceededReport
from backhaul_contracts.tasks import Status
from tests.support.servers import postgresql

_LEASE = timedelta(seconds=20)
_BEAT = Beat(worker_id="wrk_bench", number=1, service="bench", version="1", slots=10, running=0)
_STEPS = ("accept", "claim", "succeed", "settle")


class Meter:
    """Adds up what each step takes."""

    def __init__(self) -> None:
        self._wall = dict.fromkeys(_STEPS, 0.0)
        self._cpu = dict.fromkeys(_STEPS, 0.0)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self._wall[name] += time.perf_counter() - wall
        self._cpu[name] += time.process_time() - cpu

    def show(self, title: str, tasks: int) -> None:
        print(f"{title}: microseconds for each of {tasks} tasks (passed / computed here)")
        for name in _STEPS:
            print(f"  {name:8} {self._wall[name] / tasks * 1e6:7.1f} / {self._cpu[name] / tasks * 1e6:6.1f}")
        wall, cpu = sum(self._wall.values()), sum(self._cpu.values())
        print(f"  {'together':8} {wall / tasks * 1e6:7.1f} / {cpu / tasks * 1e6:6.1f}   {tasks / wall:,.0f} tasks/s")


def draft(payload: int) -> Draft:
    record = Record(
        id=new_task_id(),
        tenant="default",
        kind="bench.echo",
        version="1",
        queue="bench",
        status=Status.QUEUED,
        timeout=timedelta(minutes=10),
        grace=timedelta(seconds=10),
        max_attempts=3,
        retry_base=timedelta(seconds=1),
        retry_cap=timedelta(minutes=5),
        created_at=SystemClock().now(),
    )
    return Draft(record, RawJson(f'{{"text":"{"x" * payload}"}}'), None)


def claim(limit: int) -> Claim:
    capacity = Capacity(kind="bench.echo", version="1", count=limit)
    return Claim(claim_id=new_id("clm"), worker_id="wrk_bench", queue="bench", limit=limit, capacities=[capacity])


async def live(store: SqlStore, meter: Meter, batch: int, payload: int) -> None:
    """A batch of tasks, from the first to the last of their days."""
    drafts = [draft(payload) for _ in range(batch)]
    claims = [claim(10) for _ in range(batch // 10 or 1)]
    with meter.step("accept"):
        _, accepted = await store.accept(drafts)
    await store.beat([_BEAT], _LEASE)
    with meter.step("claim"):
        granted, started = await store.claim(claims, _LEASE)
    reports = [
        SucceededReport(
            task_id=one.record.id, attempt=1, token=str(one.record.token), number=1, result={"text": "done"}
        )
        for grants in granted
        if grants is not None
        for one in grants.snapshots
    ]
    with meter.step("succeed"):
        _, succeeded = await store.advance(reports)
    with meter.step("settle"):
        await store.settle([str(owed.outbox_id) for owed in (accepted, started, succeeded)])


async def run(url: str, options: argparse.Namespace) -> None:
    store = open_store(url, clock=SystemClock(), rules=Rules(timedelta(days=1), random.random))
    await store.start()
    profile = cProfile.Profile()
    try:
        await live(store, Meter(), options.batch, options.payload)
        meter = Meter()
        if options.profile:
            profile.enable()
        rounds = options.tasks // options.batch
        for _ in range(rounds):
            await live(store, meter, options.batch, options.payload)
        profile.disable()
    finally:
        await store.stop()
    meter.show(f"{url.split(':', 1)[0]}, batches of {options.batch}", rounds * options.batch)
    if options.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.store")
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--payload", type=int, default=200, help="bytes of each input")
    parser.add_argument("--url", help="one database to use; it keeps what the benchmark leaves there")
    parser.add_argument("--profile", action="store_true", help="show where the time goes")
    options = parser.parse_args()
    if options.url:
        measure(options.url, options)
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(f"sqlite:///{Path(folder) / 'bench.db'}", options)
    with closing(postgresql()) as server:
        measure(server.url, options)


def measure(url: str, options: argparse.Namespace) -> None:
    upgrade(url)
    asyncio.run(run(url, options))


if __name__ == "__main__":
    main()
