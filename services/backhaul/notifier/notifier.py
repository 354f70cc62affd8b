"""The role: takes deliveries that are due, tries them, and notes what became of them."""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from random import SystemRandom

from backhaul.core.batching import Batcher
from backhaul.core.clock import Clock
from backhaul.core.complaints import Complaints
from backhaul.core.errors import ConfigurationError, StoreUnavailable
from backhaul.core.metrics import MOMENTS, Spread
from backhaul.core.ports.store import Store
from backhaul.core.ports.webhooks import Mail, Postmark
from backhaul.core.sealing import Vault
from backhaul.core.task.record import RawJson
from backhaul.core.tracing import UNTRACED, Side, Tracer, facts
from backhaul.network import Resolve, Resolver
from backhaul.notifier.metrics import outcome
from backhaul.notifier.post import Answer, Post
from backhaul.notifier.schedule import Schedule, postponed
from backhaul.notifier.signing import Signer
from backhaul.notifier.targets import TOTAL, Targets
from backhaul.settings import Settings
from backhaul_contracts.webhooks import WebhookAttempt

_log = logging.getLogger("backhaul.notifier")

LEASE = timedelta(seconds=60)
"""How long a delivery is one notifier's; a try, its note and a pause of the store fit in."""

_LOOK_EVERY = timedelta(seconds=0.5)
_RETRY = timedelta(seconds=1)
_PURGE_EVERY = timedelta(minutes=1)
_PURGED_AT_ONCE = 1_000
_NOTED_AT_ONCE = 200
_FAREWELL = timedelta(seconds=2)


class Notifier:
    """One notifier. Any number may run: what one has taken, no other tries before its lease is over."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        *,
        settings: Settings,
        clock: Clock,
        resolve: Resolve | None = None,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._tracer = tracer
        self._schedule = Schedule(settings.webhook_schedule, SystemRandom().random)
        self._signer = Signer(store, vault)
        self._resolver = Resolver(2 * TOTAL)  # a lookup may go on for a while when its try has been given up
        self._post = Post(resolve or self._resolver, clock, allow_private=settings.webhook_allow_private)
        self._targets = Targets()
        self._postmarks: Batcher[Postmark, None] = Batcher(self._note, limit=_NOTED_AT_ONCE)
        self.tries: Counter[str] = Counter()
        """How many tries ended in which way."""
        self.lengths = Spread(MOMENTS)
        self._under_way: dict[str, Mail] = {}
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled. What is under way then is due again at once, for others."""
        self.wake()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._postmarks.run())
                group.create_task(self._tick())
                group.create_task(self._purge())
                await self._send_all(group)
        finally:
            await self._hand_back()
            await self._post.close()
            self._resolver.close()

    @property
    def under_way(self) -> int:
        """How many deliveries are being tried."""
        return len(self._under_way)

    def wake(self) -> None:
        """Look now: there may be something that is due."""
        self._wake.set()

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(_LOOK_EVERY)
            self.wake()

    async def _send_all(self, group: asyncio.TaskGroup) -> None:
        complaints = Complaints(_log)
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                taken = await self._take()
            except StoreUnavailable as error:
                complaints.say("the store of deliveries", error)
                continue
            complaints.settle("the store of deliveries")
            for mail in taken:
                self._targets.begin(mail.target)
                self._under_way[mail.id] = mail
                group.create_task(self._deliver(mail))

    async def _take(self) -> Sequence[Mail]:
        targets = self._targets
        if not targets.room:
            return ()
        return await self._store.take_mail(targets.room, targets.most(), targets.each, LEASE)

    async def _deliver(self, mail: Mail) -> None:
        answered = True
        try:
            postmark = self._schedule.early(mail, self._clock.now() - mail.created_at)
            if postmark is None:
                postmark, answered = await self._try(mail)
            await self._noted(postmark)
            self._under_way.pop(mail.id, None)
        finally:
            self._targets.end(mail.target, answered=answered)
            self.wake()

    async def _try(self, mail: Mail) -> tuple[Postmark, bool]:
        """What became of it, and whether the receiver has answered at all."""
        began = self._clock.now()
        try:
            headers = await self._signer.headers(mail, began)
        except StoreUnavailable:
            return postponed(mail, _RETRY), True
        except ConfigurationError as error:
            _log.error("delivery %s cannot be signed: %s", mail.id, error)
            answer = Answer(error="it cannot be signed: its secret was encrypted under another key")
        else:
            answer = await self._traced(mail, headers)
        ended = self._clock.now()
        attempt = _attempt(answer, began, ended)
        postmark = self._schedule.postmark(mail, answer, RawJson(attempt.model_dump_json()))
        self.tries[outcome(postmark)] += 1
        self.lengths.observe((ended - began).total_seconds())
        _tell(mail, answer, postmark)
        return postmark, answer.status is not None

    async def _traced(self, mail: Mail, headers: Mapping[str, str]) -> Answer:
        about = {"delivery": mail.id, "event": mail.event}
        with self._tracer.span("webhook", Side.CLIENT, mail.traceparent, about) as span, facts(span.traceparent):
            passed = {} if span.traceparent is None else {"traceparent": span.traceparent}
            answer = await self._sent(mail, {**headers, **passed})
            if answer.status is None or not 200 <= answer.status < 300:
                span.fail("no success")
            return answer

    async def _sent(self, mail: Mail, headers: Mapping[str, str]) -> Answer:
        """What came of it. Who may name a receiver may also be it: nothing that one does may end the others' webhooks,
        and a fault here that ended the process would end it again, wherever the delivery is tried next."""
        try:
            return await self._post.send(mail.url, headers, mail.body.encode())
        except Exception:  # noqa: BLE001
            _log.exception("delivery %s to %s could not be sent", mail.id, mail.target)
            return Answer(error="it could not be sent: a fault of the notifier, which its log shows")

    async def _noted(self, postmark: Postmark) -> None:
        """Note it, however long the store is away: after its lease others may send it once more."""
        while True:
            try:
                await self._postmarks.submit(postmark)
            except StoreUnavailable:
                await self._clock.sleep(_RETRY)
            else:
                return

    async def _note(self, postmarks: Sequence[Postmark]) -> Sequence[None]:
        await self._store.note_mail(postmarks)
        return [None] * len(postmarks)

    async def _hand_back(self) -> None:
        left = [postponed(mail, timedelta(0)) for mail in self._under_way.values()]
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(_FAREWELL.total_seconds()):
                await self._store.note_mail(left)

    async def _purge(self) -> None:
        while True:
            with suppress(StoreUnavailable):
                while await self._store.purge_deliveries(self._settings.retention, _PURGED_AT_ONCE) == _PURGED_AT_ONCE:
                    pass
            await self._clock.sleep(_PURGE_EVERY)


def _attempt(answer: Answer, began: datetime, ended: datetime) -> WebhookAttempt:
    return WebhookAttempt(
        at=began, status=answer.status, error=answer.error, duration_ms=(ended - began) // timedelta(milliseconds=1)
    )


def _tell(mail: Mail, answer: Answer, postmark: Postmark) -> None:
    """The log names the receiver by its origin: what follows it in a URL may be a secret."""
    what = answer.status or answer.error
    if postmark.gone:
        _log.warning("%s wants no more (410): it gets nothing until somebody enables it", mail.target)
    elif postmark.state == "failed":
        _log.warning("delivery %s to %s is given up after %d tries: %s", mail.id, mail.target, postmark.tried, what)
    else:
        _log.debug("delivery %s to %s: %s", mail.id, mail.target, what)
