"""The hand that harms: it kills, freezes, drains and cuts off roles, takes store and broker down, and heals it all."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import cycle

from backhaul.broker.memory import Faults
from tests.proof.observations import Fault, Heal
from tests.simulation.brokers import context_of_nobody
from tests.simulation.loop import Process, SimulatedLoop
from tests.simulation.operators import Operator
from tests.simulation.plan import Harm, Plan
from tests.simulation.roles import Ground, Role, WorkerRole

_NOTICED_AFTER = 3.0
"""Seconds after which the broker finds that a machine is gone."""
_AGAIN = 0.1


class Hand:
    """Does what the plan says. `healed`: no more harm is done."""

    def __init__(self, plan: Plan, ground: Ground, operator: Operator, loop: SimulatedLoop) -> None:
        self.healed = False
        self.roles: list[Role] = []
        self._plan = plan
        self._ground = ground
        self._operator = operator
        self._asking: list[asyncio.Task[None]] = []
        self._loop = loop
        self._revival: Iterator[float] = cycle(plan.revival)
        self._deeds: dict[str, Callable[[Harm, Role], None]] = {
            "kill": lambda _, role: self._kill(role, "killed"),
            "power": lambda _, role: self._kill(role, "lost its power", _NOTICED_AFTER),
            "freeze": lambda harm, role: role.freeze(harm.length),
            "drain": lambda _, role: self._drain(role),
            "ask": lambda _, role: self._ask(role),
            "disconnect": self._cut_off,
            "isolate": lambda harm, _: self._find_at_work(harm, self._cut_off),
            "evict": lambda harm, _: self._find_at_work(harm, lambda _, role: self._drain(role)),
            "broker": lambda harm, _: self._outage(harm, self._broker_down, self._broker_up),
            "store": lambda harm, _: self._outage(harm, self._store_down, self._store_up),
        }

    def begin(self) -> None:
        """From now on, harm."""
        self._ground.hub.faults = self._plan.faults
        for harm in self._plan.harms:
            self._loop.call_later(harm.at, self._do, harm)
        for at, ambush in self._plan.ambushes:
            self._loop.call_later(at, self._ground.points.lay, ambush)

    def heal(self) -> None:
        """Everything is made well again, at one moment."""
        self.healed = True
        ground = self._ground
        ground.points.clear()
        ground.hub.faults = Faults()
        self._store_up()
        self._broker_up()
        ground.weather.calm()
        for role in self.roles:
            role.heal()
            role.start()
        self._note_heal("everything")

    def roll_out(self) -> None:
        """In peace: an operator has a worker replaced, one that works if there is one."""
        workers = [role for role in self.roles if isinstance(role, WorkerRole)]
        self._ask(self._at_work() or workers[0])

    def ambushed(self, process: Process, point: str) -> None:
        """Who runs in `process` dies now."""
        role = next((role for role in self.roles if role.process is process), None)
        if role is not None:
            self._ground.witness.met[f"died at {point}"] += 1
            self._kill(role, f"at {point}")

    def _do(self, harm: Harm) -> None:
        if not self.healed:
            role = [role for role in self.roles if role.kind == harm.role][harm.target]
            self._deeds[harm.kind](harm, role)

    def _kill(self, role: Role, how: str, noticed_after: float = 0) -> None:
        role.kill(how, noticed_after=noticed_after)
        self._revive(role)

    def _drain(self, role: Role) -> None:
        if role.process is None or role.leaving:
            return
        self._note("drain", role.process.name)
        self._ground.witness.met[f"{role.kind} drained"] += 1
        role.when_gone(lambda: self._revive(role))
        role.drain()

    def _ask(self, role: Role) -> None:
        """An operator asks for it over HTTP, and whoever runs the worker starts another when it has left."""
        if role.process is not None:
            role.when_gone(lambda: self._revive(role))
            self._asking.append(self._loop.create_task(self._operator.drain(role.process.name)))

    def _cut_off(self, harm: Harm, role: Role) -> None:
        if role.broker is not None:
            self._note(harm.kind, role.name)
            role.broker.break_off(harm.length)

    def _find_at_work(self, harm: Harm, then: Callable[[Harm, Role], None]) -> None:
        """As soon as a worker is in the midst of an exclusive handler."""
        if self.healed:
            return
        found = self._at_work()
        if found is not None:
            then(harm, found)
        else:
            self._loop.call_later(_AGAIN, self._find_at_work, harm, then)

    def _at_work(self) -> WorkerRole | None:
        """A worker in the midst of an exclusive handler."""
        busy = {worker for worker, _, _ in self._ground.witness.alone}
        workers = (role for role in self.roles if isinstance(role, WorkerRole))
        return next((role for role in workers if role.process and role.process.name in busy), None)

    def _revive(self, role: Role) -> None:
        after = _AGAIN if self.healed else next(self._revival)
        self._loop.call_later(after, role.start, context=context_of_nobody())

    def _outage(self, harm: Harm, down: Callable[[], None], up: Callable[[], None]) -> None:
        self._note(f"{harm.kind} down", harm.kind)
        down()
        self._loop.call_later(harm.length, up)

    def _broker_down(self) -> None:
        context_of_nobody().run(self._ground.hub.down)

    def _broker_up(self) -> None:
        if not self._ground.hub.running:
            self._note_heal("broker")
            context_of_nobody().run(self._ground.hub.up)

    def _store_down(self) -> None:
        if not self._ground.weather.store_down:
            self._ground.weather.store_down = True
            self._ground.weather.back = asyncio.Event()

    def _store_up(self) -> None:
        if self._ground.weather.store_down:
            self._note_heal("store")
            self._ground.weather.store_down = False
            self._ground.weather.back.set()

    def _note(self, kind: str, target: str) -> None:
        witness = self._ground.witness
        witness.see(Fault(kind=kind, target=target, at=witness.now()))
        witness.met[kind] += 1

    def _note_heal(self, target: str) -> None:
        witness = self._ground.witness
        witness.see(Heal(kind="all", target=target, at=witness.now()))
