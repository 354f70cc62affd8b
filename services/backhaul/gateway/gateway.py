"""The gateway: what all its endpoints share, and the loops behind them."""

import asyncio
import secrets
from collections.abc import Sequence

from backhaul.core.batching import Batcher
from backhaul.core.clock import Clock
from backhaul.core.messages.relay import Relay
from backhaul.core.ports.broker import Broker
from backhaul.core.ports.store import Admission, Store
from backhaul.core.rendering import task_json
from backhaul.core.schema.catalogue import Catalogue
from backhaul.core.task.acceptance import Acceptance
from backhaul.core.task.commands import Command
from backhaul.core.task.record import Draft, Snapshot
from backhaul.core.task.transitions import Change, Refusal
from backhaul.core.tracing import UNTRACED, Tracer
from backhaul.core.webhooks import WebhookRules
from backhaul.gateway.access.access import Access
from backhaul.gateway.access.guards import is_loopback
from backhaul.gateway.access.identity import Identity
from backhaul.gateway.access.keyring import Keyring
from backhaul.gateway.access.limits import Limits
from backhaul.gateway.access.links import StreamLinks
from backhaul.gateway.backlog import Backlog
from backhaul.gateway.hints import Hints
from backhaul.gateway.lookup import Lookup
from backhaul.gateway.metrics import Requests, Scrape, nothing_collected
from backhaul.gateway.push.audit import Audit
from backhaul.gateway.push.feed import Feed
from backhaul.gateway.push.subjects import Subjects
from backhaul.gateway.push.waiting import Waiting
from backhaul.gateway.push.wide import Wide
from backhaul.settings import Settings
from backhaul_contracts.ids import new_id

_COMMIT = 500


class Gateway:
    """One gateway. `store`, `broker` and `relay` are started and run by whoever wires them; `run` must be running.

    Submits share commits, and so do commands: what arrives during one commit forms the next.
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
        gateway_id: str | None = None,
    ) -> None:
        self.store = store
        self.broker = broker
        self.settings = settings
        self.clock = clock
        self.tracer = tracer
        self.id = gateway_id or new_id("gw")
        self.catalogue = Catalogue(store, clock)
        self.webhooks = WebhookRules(settings.opened_secret_key, allow_private=settings.webhook_allow_private)
        self.acceptance = Acceptance(self.catalogue, store, clock, self.webhooks)
        self.lookup = Lookup(store, clock, settings.retention)
        self.keyring = Keyring(store, clock)
        self.links = StreamLinks(_secret_key(settings), clock)
        self.access = Access(self.keyring, self.links, open_at_first=is_loopback(settings.host))
        self.limits = Limits(settings.rate_limit, settings.max_streams, clock)
        self.backlog = Backlog(store, clock, settings.max_backlog)
        self.feed = Feed(broker, clock, self.id, Wide(Subjects(store), clock))
        self.waiting = Waiting(self.feed, self.lookup, clock)
        self.hints = Hints(broker)
        self.requests = Requests()
        self.scrape: Scrape = nothing_collected
        """Set by whoever puts a process together: the metrics of all that runs in it."""
        self.audit = Audit(self.feed, store, broker, clock)
        self._relay = relay
        self._admissions: Batcher[Draft, Admission] = Batcher(self.accept, limit=_COMMIT)
        self._commands: Batcher[Command, Change | Refusal] = Batcher(self._advance, limit=_COMMIT)

    async def run(self) -> None:
        """Commit, listen and compare, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._admissions.run())
            group.create_task(self._commands.run())
            group.create_task(self.keyring.run())
            group.create_task(self.lookup.run())
            group.create_task(self.feed.run())
            group.create_task(self.audit.run())
            group.create_task(self.hints.run())

    def drain(self) -> None:
        """The process is about to stop: end every stream and every wait, and be ready for nothing new.

        A server that stops waits for its connections, so call this when it begins to stop."""
        self.feed.close()

    @property
    def draining(self) -> bool:
        return self.feed.closing

    def shown(self, snapshot: Snapshot, identity: Identity) -> str:
        """The task as JSON, with a link to its stream that needs no key."""
        return task_json(snapshot, self.links.token(snapshot.record, identity))

    async def admit(self, draft: Draft) -> Admission:
        """Make the draft a task, in a commit shared with others."""
        return await self._admissions.submit(draft)

    async def command(self, command: Command) -> Change | Refusal:
        """Apply a command, in a commit shared with others."""
        return await self._commands.submit(command)

    async def accept(self, drafts: Sequence[Draft]) -> Sequence[Admission]:
        """Make these drafts tasks in one commit."""
        admissions, dispatch = await self.store.accept(drafts)
        self._relay.hand_over(dispatch)
        return admissions

    async def _advance(self, commands: Sequence[Command]) -> Sequence[Change | Refusal]:
        results, dispatch = await self.store.advance(commands)
        self._relay.hand_over(dispatch)
        return results


def _secret_key(settings: Settings) -> str:
    """The configured one; else one that lasts as long as this process, and its links no longer."""
    return settings.opened_secret_key or secrets.token_hex(32)
