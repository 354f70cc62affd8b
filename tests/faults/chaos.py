"""One run: deploy, load, harm, heal, wait for quiet, look at everything, judge."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import asyncpg
import httpx

from backhaul.core.messages import topology
from tests.faults import hearing, kinds
from tests.faults.clients import Client
from tests.faults.fleet import ROLES, Fleet
from tests.faults.hooks import Hooks, hooks
from tests.faults.injector import Injector
from tests.faults.logs import tracebacks
from tests.faults.operators import Operator
from tests.faults.plan import Planned, plan
from tests.faults.publishing import Publisher
from tests.faults.record import Record
from tests.faults.site import Site
from tests.proof.checker import Violation, check
from tests.proof.history import History
from tests.proof.observations import HandlerEnded, HandlerStarted, LoggedEvent, Remains, Terms
from tests.support.postgresql import PrivatePostgreSQL
from tests.support.rabbitmq import PrivateRabbitMQ

_KINDS = len(kinds.quick.handlers) + len(kinds.heavy.handlers)
_START = timedelta(seconds=60)
_CALM = timedelta(seconds=3)
"""How long the load runs undisturbed, before the first fault and after the last."""
_TRIES = 200
"""Of a webhook: a receiver that is well in the end gets everything."""
_LOOK = timedelta(milliseconds=500)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be run: `length` of load and faults, a fault about every `gap`, `rate` submits a second.

    `lease` and `heartbeat` are shorter than in production, so that many faults fit into a minute. `quiet`: how long
    after the last heal everything may take to end.
    """

    seed: int
    length: timedelta
    gap: timedelta = timedelta(seconds=4)
    rate: float = 8
    clients: int = 6
    lease: timedelta = timedelta(seconds=4)
    heartbeat: timedelta = timedelta(seconds=1)
    quiet: timedelta = timedelta(seconds=120)


@dataclass(slots=True)
class Run:
    """What was done and seen. `complaints`: what must not be, and is in none of the invariants."""

    wish: Wish
    history: History
    inflicted: list[Planned] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    answered: list[tuple[str, datetime]] = field(default_factory=list)
    """When which gateway answered a request."""
    restarts: dict[str, list[int]] = field(default_factory=dict)
    """The exit codes of processes that ended by themselves, and were started anew."""
    logs: dict[str, str] = field(default_factory=dict)
    seconds: float = 0

    @property
    def good(self) -> bool:
        return not self.violations and not self.complaints


async def run(wish: Wish, broker: PrivateRabbitMQ, database: PrivatePostgreSQL) -> Run:
    """Run it on running servers that hold nothing yet. They are running, and hold the record, when this returns."""
    done = Run(wish, History([Terms(lease=wish.lease, skew=timedelta(milliseconds=50))]))
    begin = asyncio.get_running_loop().time()
    async with _deployed(wish, broker, database) as fleet, AsyncExitStack() as stack:
        site = Site([each.url for each in fleet.gateways], done.history, random.Random(wish.seed))
        hooked = await stack.enter_async_context(hooks(done.history, site.chance))
        http = await stack.enter_async_context(_connections())
        operator = Operator(site, http)
        await operator.register(hooked)
        injector = Injector(fleet, broker, database, operator, done.history)
        async with _loaded(wish, site, broker, http, hooked) as load:
            await asyncio.sleep(_CALM.total_seconds())
            await injector.run(_plan(wish), wish.length - 2 * _CALM)
            await asyncio.sleep(_CALM.total_seconds())
            hooked.friendly = True
            site.stop.set()
            await asyncio.wait({load}, timeout=wish.quiet.total_seconds())
            if not load.done():
                done.complaints.append(f"clients still waited {wish.quiet} after the last heal")
        await _look(wish, done.history, broker, database)
        _listen(fleet, done)
    done.complaints += hearing.unheard(done.history.of(LoggedEvent), await hearing.heard(broker.url))
    done.inflicted = injector.inflicted
    names = {each.url: each.name for each in fleet.gateways}
    done.answered = [(names[url], at) for url, at in site.answered]
    done.complaints += injector.complaints + site.strange
    done.violations = check(done.history)
    done.seconds = asyncio.get_running_loop().time() - begin
    return done


def _plan(wish: Wish) -> list[Planned]:
    return list(plan(wish.seed, list(ROLES), start=timedelta(0), end=wish.length - 2 * _CALM, gap=wish.gap))


@asynccontextmanager
async def _deployed(wish: Wish, broker: PrivateRabbitMQ, database: PrivatePostgreSQL) -> AsyncIterator[Fleet]:
    """The deployment at work: every gateway knows every kind."""
    settings = {
        "BACKHAUL_LEASE": f"{wish.lease.total_seconds()}s",
        "BACKHAUL_HEARTBEAT": f"{wish.heartbeat.total_seconds()}s",
        "BACKHAUL_LEDGER_SHARDS": "2",
        "BACKHAUL_DRAIN_GRACE": "2s",
        "BACKHAUL_LOG_FORMAT": "console",
        "BACKHAUL_SECRET_KEY": secrets.token_hex(16),
        "BACKHAUL_WEBHOOK_ALLOW_PRIVATE": "true",
        "BACKHAUL_WEBHOOK_SCHEDULE": ",".join(["0s", *["1s"] * _TRIES]),
    }
    fleet = Fleet(broker.url, database.url, settings)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(fleet.close)
        await fleet.prepare()
        keeping = asyncio.create_task(fleet.run())
        stack.push_async_callback(_cancelled, keeping)
        async with asyncio.timeout(_START.total_seconds()):
            for gateway in fleet.gateways:
                await _knows_all_kinds(gateway.url)
        await hearing.bind(broker.url)
        await broker.settle()  # a matter of RabbitMQ 3.10 alone: see there
        yield fleet


def _connections() -> httpx.AsyncClient:
    return httpx.AsyncClient(limits=httpx.Limits(max_connections=None), trust_env=False)


@asynccontextmanager
async def _loaded(
    wish: Wish, site: Site, broker: PrivateRabbitMQ, http: httpx.AsyncClient, hooked: Hooks
) -> AsyncIterator[asyncio.Task[None]]:
    load = asyncio.create_task(_load(wish, site, broker, http, hooked))
    try:
        yield load
    finally:
        await _cancelled(load)


async def _load(wish: Wish, site: Site, broker: PrivateRabbitMQ, http: httpx.AsyncClient, hooked: Hooks) -> None:
    interval = wish.clients / (wish.rate * 0.9)
    async with asyncio.TaskGroup() as group:
        for number in range(wish.clients):
            group.create_task(Client(site, f"client-{number + 1}", http, hooked, interval=interval).run())
        group.create_task(Publisher(site, broker.url, http, interval=10 / wish.rate).run())


async def _look(wish: Wish, history: History, broker: PrivateRabbitMQ, database: PrivatePostgreSQL) -> None:
    """Wait until nothing is left to do, as long as `quiet`; then write down the record."""
    connection = await asyncpg.connect(database.url)
    try:
        record = Record(connection, broker)
        remains = await record.remains()
        with suppress(TimeoutError):
            async with asyncio.timeout(wish.quiet.total_seconds()):
                while await record.undone() or _anything(remains := await record.remains()):
                    await asyncio.sleep(_LOOK.total_seconds())  # a database and a broker can only be asked
        # What was seen at rest: workers go on beating, and a later look may meet a beat on its way.
        history.add(*await record.tasks(), *await record.log(), remains)
    finally:
        await connection.close()


def _anything(remains: Remains) -> bool:
    kept = {topology.DEAD, topology.INVALID, topology.UNROUTED}
    waiting = sum(count for name, count in remains.queues.items() if name not in kept)
    return bool(remains.outbox or remains.leases or waiting)


def _listen(fleet: Fleet, done: Run) -> None:
    """Take in what the processes wrote: their logs, and the diaries of handlers under the ids of their workers."""
    ids = fleet.workers()
    diaries = History.read(*sorted(fleet.folder.glob("*.jsonl")))
    for noted in diaries:
        if isinstance(noted, HandlerStarted | HandlerEnded):
            done.history.add(replace(noted, worker=ids.get(noted.worker, noted.worker)))
    for process in fleet.processes.values():
        if process.unasked:
            done.restarts[process.name] = process.unasked
        done.complaints += [f"children of {process.name}.{life} have outlived it" for life in process.orphans()]
        for life in range(1, process.life + 1):
            log = done.logs[f"{process.name}.{life}"] = process.log(life)
            done.complaints += [f"in the log of {process.name}.{life}: {each}" for each in tracebacks(log)]


async def _knows_all_kinds(url: str) -> None:
    async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
        while True:
            with suppress(httpx.TransportError):
                response = await client.get(f"{url}/v1/kinds")
                if response.status_code == 200 and len(response.json()["data"]) == _KINDS:
                    return
            await asyncio.sleep(_LOOK.total_seconds())  # there is no event to await: it is another process


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
