"""The role: its desks, its intake, its reaper and its restorer, in one task group."""

import logging
from datetime import timedelta
from typing import Any

from backhaul.core.clock import Clock
from backhaul.core.complaints import Complaints
from backhaul.core.errors import BrokerUnavailable, ConfigurationError, StoreUnavailable
from backhaul.core.messages import topology
from backhaul.core.messages.relay import Relay
from backhaul.core.ports.broker import Broker
from backhaul.core.ports.store import Store
from backhaul.core.schema.catalogue import Catalogue
from backhaul.core.task.acceptance import Acceptance
from backhaul.core.tracing import UNTRACED, Tracer
from backhaul.core.webhooks import WebhookRules
from backhaul.ledger.announcing import Announcements
from backhaul.ledger.answers import Answers
from backhaul.ledger.balance import Balance
from backhaul.ledger.beats import BeatDesk
from backhaul.ledger.claims import ClaimDesk
from backhaul.ledger.deadletters import Watch
from backhaul.ledger.desk import Desk, supervise
from backhaul.ledger.eventqueues import EventQueues
from backhaul.ledger.intake import Intake
from backhaul.ledger.reaper import Reaper
from backhaul.ledger.recorder import Recorder
from backhaul.ledger.restorer import Restorer
from backhaul.ledger.shards import Shards
from backhaul.ledger.superseded import Superseded
from backhaul.ledger.taskqueues import TaskQueues
from backhaul.settings import Settings
from backhaul_contracts.ids import new_id
from backhaul_contracts.messages import BEATS, CLAIMS, SHARD

_log = logging.getLogger("backhaul.ledger")

_RETRY = timedelta(seconds=1)
_LATER = timedelta(seconds=30)


class Ledger:
    """One ledger process. Any number may run: they compete for claims and beats, and take turns at the shards.

    `alone`: no worker can have outlived the last ledger (everything runs in this process), so leases that have lapsed
    when it starts need no second look, and kinds may have changed.
    """

    def __init__(
        self,
        store: Store,
        broker: Broker,
        relay: Relay,
        *,
        settings: Settings,
        clock: Clock,
        tracer: Tracer = UNTRACED,
        alone: bool = False,
    ) -> None:
        self._store = store
        self._broker = broker
        self._clock = clock
        self.id = new_id("ldg")
        self._complaints = Complaints(_log, logging.WARNING)
        source = f"/backhaul/ledger/{self.id}"
        self._answers = answers = Answers(broker, source)
        self._shards = Shards(broker, settings.ledger_shards)
        self._queues = queues = TaskQueues(broker, clock)
        self.balance = balance = Balance(store, broker, queues)
        self.claims = ClaimDesk(store, relay, answers, settings.lease, on_missed=balance.missed, tracer=tracer)
        self._restorer = Restorer(broker, clock, shards=settings.ledger_shards)
        events = EventQueues(broker, self._restorer.keep)
        announcements = Announcements(store, queues, events, alone=alone)
        self.beats = BeatDesk(store, broker, relay, answers, announcements, clock, lease=settings.lease, source=source)
        self.superseded = Superseded(broker, clock)
        self.recorders = [
            Recorder(store, relay, answers, self.superseded, number=n, shards=settings.ledger_shards)
            for n in range(settings.ledger_shards)
        ]
        self.desks = self._desks()
        webhooks = WebhookRules(settings.opened_secret_key, allow_private=settings.webhook_allow_private)
        acceptance = Acceptance(Catalogue(store, clock), store, clock, webhooks)
        self.intake = Intake(store, broker, relay, acceptance, clock, max_body=settings.max_body, tracer=tracer)
        self.watch = Watch(broker, clock)
        self.reaper = Reaper(store, broker, relay, balance, clock, source, patience=settings.lease, alone=alone)

    def _desks(self) -> list[Desk[Any]]:
        broker, clock = self._broker, self._clock
        return [
            Desk(broker, clock, topology.CLAIMS, CLAIMS.salvage, self.claims.handle),
            Desk(broker, clock, topology.BEATS, BEATS.salvage, self.beats.handle),
            *(
                Desk(broker, clock, topology.ledger_queue(n), SHARD.salvage, recorder.handle)
                for n, recorder in enumerate(self.recorders)
            ),
        ]

    async def _retire(self) -> None:
        """Clear away what a larger number of shards has left, as soon as no ledger needs it any more."""
        complaints = Complaints(_log)
        while True:
            try:
                if await self._shards.retire():
                    return
            except (BrokerUnavailable, ConfigurationError) as error:
                complaints.say("the queues of more shards", error)
            await self._clock.sleep(_LATER)

    @property
    def misfits(self) -> list[str]:
        """What on the broker does not fit, a sentence each: the tasks of other queues go on."""
        return self._queues.misfits

    async def prepare(self) -> None:
        """Declare the queues of every announced kind, and issue the tokens that a broker without memory has lost."""
        queues = {spec.queue for spec in await self._store.kinds()}
        claimable = await self._store.claimable()
        await self._queues.declare(queues | claimable.keys())
        for queue, count in (await self._queues.ready(claimable)).items():
            if count == 0:
                await self.balance.issue(queue, claimable[queue])

    async def _prepared(self) -> bool:
        try:
            await self.prepare()
        except (StoreUnavailable, BrokerUnavailable) as error:
            self._complaints.say("the start", f"the ledger waits for an outage to end: {error}")
            return False
        self._complaints.settle("the start")
        return True

    async def run(self) -> None:
        """Work until cancelled. What it needs for a start it waits for."""
        while not await self._prepared():
            await self._clock.sleep(_RETRY)
        await supervise(
            self._answers.run(),
            *(desk.run() for desk in self.desks),
            self.intake.run(),
            self.watch.run(),
            self.reaper.run(),
            self._retire(),
            self._restorer.run(),
        )
