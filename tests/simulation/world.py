"""One seed, from an empty store to the verdict."""

import asyncio
import gc
import logging
import random
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

from backhaul.broker.memory import Hub
from backhaul.core.messages import topology
from backhaul_contracts.events import EventType
from tests.proof.observations import LoggedEvent, Terms
from tests.simulation.chance import repeatable
from tests.simulation.clients import Client
from tests.simulation.database import database
from tests.simulation.findings import Finding, findings
from tests.simulation.hand import Hand
from tests.simulation.http import Http
from tests.simulation.loop import Process, SimulatedClock, SimulatedLoop, Standstill
from tests.simulation.operators import Operator
from tests.simulation.plan import ROLL_OUT_AFTER, Plan, make_plan
from tests.simulation.points import Points
from tests.simulation.publishers import Publisher
from tests.simulation.receivers import RECEIVERS, Receivers
from tests.simulation.remains import Remainder
from tests.simulation.roles import LEASE, GatewayRole, Ground, LedgerRole, NotifierRole, WorkerRole, settings
from tests.simulation.witness import WITNESS, Witness

_OUTLAST = 90.0
"""Seconds after the healing by which nothing may be left to do: more than a sweeper keeps others off an outbox row."""
_LOOK = 0.4


@dataclass(slots=True)
class Outcome:
    """What a seed came to. `digest`: equal if, and only if, everything went the same way."""

    seed: int
    digest: str
    findings: list[Finding]
    met: Counter[str] = field(default_factory=Counter)
    """Every kind of fault and of death that really came about."""
    seconds: float = 0.0
    """Of simulated time."""
    turns: int = 0


def run_seed(seed: int, trace: Callable[[str], None] | None = None, *, harm: str | None = None) -> Outcome:
    """Play one seed. `trace` is called with every line of what is seen; `harm`: see `make_plan`."""
    gc.disable()
    logging.disable(logging.CRITICAL)
    loop = SimulatedLoop()
    loop.set_exception_handler(lambda *_: None)
    try:
        with warnings.catch_warnings(), repeatable(loop, random.Random(f"ids {seed}")):
            warnings.filterwarnings("ignore", "coroutine .* was never awaited")  # who died young has not
            outcome = _play(World(seed, loop, trace, harm))
            _tidy_up(loop)
            loop.close()
            _collect()
    finally:
        logging.disable(logging.NOTSET)
    return outcome


def _play(world: "World") -> Outcome:
    try:
        world.loop.run_until_complete(world.run())
    except Standstill as error:
        world.witness.broken.append(str(error))
    return world.outcome()


_played = count(1)
_COLLECT_EVERY = 40


def _collect() -> None:
    """Garbage is collected between seeds only, and not after each. What is there after the first one stays."""
    played = next(_played)
    if played % _COLLECT_EVERY == 1:
        gc.collect()
    if played == 1:
        gc.freeze()


class World:
    """The deployment, its clients, and the hand that harms it."""

    def __init__(
        self, seed: int, loop: SimulatedLoop, trace: Callable[[str], None] | None, harm: str | None = None
    ) -> None:
        self.seed = seed
        self.loop = loop
        self.draw = random.Random(f"world {seed}")
        self.plan: Plan = make_plan(random.Random(f"plan {seed}"), seed, harm)
        self.clock = SimulatedClock(loop)
        self.witness = Witness(self.clock, trace)
        self.points = Points(self._ambushed)
        self.weather = self.plan.weather(self.draw)
        self.settings = settings(self.plan.shards)
        self.hub = Hub(clock=self.clock)
        self.store = database().fresh(self.clock, random.Random(f"store {seed}"), LEASE)
        ground = Ground(
            self.hub,
            self.store,
            self.clock,
            self.settings,
            self.points,
            self.weather,
            self.witness,
            self.draw,
            self.plan.slots,
        )
        self.gateways = [GatewayRole(ground, n) for n in (1, 2)]
        self.http = Http(self.weather)
        self.receivers = Receivers(self.points, self.weather, self.witness, self.draw)
        self.operator = Operator(self.http, self.gateways, self.witness, self.receivers, self.draw)
        self.hand = Hand(self.plan, ground, self.operator, loop)
        self.hand.roles += [
            *self.gateways,
            *(LedgerRole(ground, n) for n in (1, 2)),
            *(WorkerRole(ground, n) for n in (1, 2)),
            *(NotifierRole(ground, n) for n in (1, 2)),
        ]
        self.publisher = Publisher(ground)
        self.remainder = Remainder(self.store, self.hub, self.witness)

    async def run(self) -> None:
        plan, witness = self.plan, self.witness
        WITNESS.set(witness)
        RECEIVERS.set(self.receivers)
        witness.see(Terms(lease=LEASE))
        self.hub.declare(topology.platform(plan.shards))
        for role in self.hand.roles:
            role.start()
        await self.publisher.start()
        while len(await self.store.kinds()) < 3:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        if plan.endpoint:
            await self.operator.register(plan.endpoint)
        wishes = self._wish()
        self.hand.begin()
        await asyncio.sleep(plan.length)
        self.hand.heal()
        self.receivers.friendly = True
        if plan.roll_out:
            wishes.append(self.loop.create_task(self._roll_out()))
        await self._until_quiet(wishes)
        for wish in wishes:
            wish.cancel()
        await self.remainder.collect()
        self._check_published()
        self._check_heard()

    def outcome(self) -> Outcome:
        return Outcome(
            self.seed,
            self.witness.digest,
            findings(self.witness),
            self.witness.met,
            self.loop.time(),
            self.loop.turns,
        )

    def _wish(self) -> list[asyncio.Task[None]]:
        wishes = []
        for number, wish in enumerate(self.plan.wishes, start=1):
            client = Client(f"client-{number}", self.http, self.gateways, self.witness, self.receivers, self.draw)
            wishes.append(self.loop.create_task(client.grant(wish)))
        return wishes + [self.publisher.publish(wish) for wish in self.plan.published]

    def _ambushed(self, process: Process, point: str) -> None:
        self.hand.ambushed(process, point)

    async def _until_quiet(self, wishes: Iterable[asyncio.Task[None]]) -> None:
        end = self.loop.time() + _OUTLAST
        while self.loop.time() < end:
            await asyncio.sleep(_LOOK)
            if all(wish.done() for wish in wishes) and await self.remainder.quiet() and not self._leaving():
                return
        waiting = sum(not wish.done() for wish in wishes)
        if waiting:
            self.witness.broken.append(f"{waiting} clients still wait {_OUTLAST:g} s after everything was healed")

    async def _roll_out(self) -> None:
        """When all has been well for longer than a lease."""
        await asyncio.sleep(ROLL_OUT_AFTER)
        self.hand.roll_out()

    def _leaving(self) -> bool:
        """Whether a worker is still there that an operator has asked to leave."""
        return any(role.process and role.process.name in self.operator.asked for role in self.hand.roles)

    def _check_published(self) -> None:
        for key in self.publisher.confirmed:
            if key not in self.remainder.keys:
                self.witness.broken.append(f"the broker confirmed the submission {key}, and there is no such task")

    def _check_heard(self) -> None:
        """Public events are published at least once."""
        for event in self.witness.history.of(LoggedEvent):
            if EventType(event.type).public and (event.task_id, event.seq) not in self.publisher.heard:
                self.witness.broken.append(f"{event.type} (seq {event.seq}) of {event.task_id} was never published")


def _tidy_up(loop: SimulatedLoop) -> None:
    """End every task, also of the dead, so that none is left to be collected at some later time."""
    loop.everything_runs = True
    loop.turns = 0
    for process in loop.processes:
        loop.resume(process.held)
    for _ in range(5):
        left = [task for task in loop.tasks if not task.done()]
        if not left:
            return
        for task in left:
            task.cancel()
        with suppress(Standstill):
            loop.run_until_complete(asyncio.wait(left, timeout=60))
