"""Keeping both connections, and all that runs on them, alive; and telling when everything stands again."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Protocol

from yarl import URL

from backhaul.broker.rabbitmq import topology as objects
from backhaul.broker.rabbitmq.errors import ChannelLost, Refusal
from backhaul.broker.rabbitmq.link import Link
from backhaul.broker.rabbitmq.publisher import Publisher
from backhaul.broker.rabbitmq.session import Session
from backhaul.core.complaints import Complaints
from backhaul.core.errors import BackhaulError, BrokerUnavailable
from backhaul.core.messages.topology import Topology

log = logging.getLogger(__name__)

_REFRESH = timedelta(seconds=30)


class Supervised(Protocol):
    """A consumer, as it is kept alive."""

    queue: str
    cancelled: bool
    refused: bool
    """Whether this user may not read the queue."""

    async def run(self) -> None: ...
    async def cancel(self) -> None: ...

    async def tried(self) -> None:
        """Return when it is in place, or could not be put there."""
        ...


class Supervisor:
    """The connections to publish and to consume by. `run` must be running."""

    def __init__(
        self, url: URL, *, name: str, heartbeat: timedelta, publish_timeout: timedelta, feels: str = ""
    ) -> None:
        self._changed = asyncio.Event()
        self.publishing, self.consuming = (
            Link(url, name=f"{name} ({purpose})", heartbeat=heartbeat, on_change=self._change)
            for purpose in ("publish", "consume")
        )
        self.publisher = Publisher(self.publishing, timeout=publish_timeout, on_ready=self._change, feels=feels)
        self.consumers: list[Supervised] = []
        self.owned: dict[str, Topology] = {}
        self.callbacks: list[Callable[[], None]] = []
        self.reconnects = 0
        """How often there was a connection in place of one that was lost."""
        self.started = False
        """Whether a restored connection is news."""
        self._settled = asyncio.Event()
        """Set when everything stood for the first time, or when it never will (`_hopeless`)."""
        self._hopeless: Refusal | None = None
        self._told: Refusal | None = None
        self._group: asyncio.TaskGroup | None = None
        self._complaints = Complaints(log, logging.WARNING)
        self._raises = False
        """Whether what is hopeless ends the start, and so is told by who started us."""

    @property
    def whole(self) -> bool:
        """Whether both connections are there, and messages are taken."""
        return self.publisher.ready.is_set() and self.consuming.up and self.publishing.blocked is None

    @property
    def blocked(self) -> str | None:
        """See `Broker.blocked`."""
        refusal = self.publishing.refusal or self.consuming.refusal
        return self.publishing.blocked or (None if refusal is None else refusal.reason)

    @property
    def refuses(self) -> str | None:
        """See `Broker.refuses`."""
        if not self.publishing.up or not self.consuming.up:
            return None
        deaf = (f"consuming {each.queue}" for each in self.consumers if each.refused and not each.cancelled)
        return ", ".join([*(f"publishing to {name}" for name in self.publisher.refused), *deaf]) or None

    async def run(self) -> None:
        """Keep everything alive until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._group:
                for loop in (self.publishing.run(), self.consuming.run(), self.publisher.run(), self._refresh()):
                    self._group.create_task(loop)
                for consumer in self.consumers:
                    self._group.create_task(consumer.run())
                await self._announce()
        finally:
            self._group = None

    async def begin(self, patience: timedelta, *, required: bool, patient: bool) -> BrokerUnavailable | None:
        """Wait until everything stands; if it is not `required`, or we are `patient`, only for the first try. Returns
        what is in the way: to the patient, only what trying cannot mend."""
        self._raises = required
        waits = required and not patient
        with suppress(TimeoutError):
            async with asyncio.timeout(patience.total_seconds()):
                await (self._settled.wait() if waits else self._first_try())
        if not required or (self._hopeless is None and (patient or self._settled.is_set())):
            return None
        refusal = self._hopeless or self.publishing.refusal or self.consuming.refusal
        return refusal.error() if refusal is not None else BrokerUnavailable(self.publishing.complaint)

    async def add(self, consumer: Supervised) -> None:
        """Keep one more consumer alive; returns when it is in place, if it can be put there now."""
        self.consumers = [known for known in self.consumers if not known.cancelled] + [consumer]
        if self._group is not None:
            self._group.create_task(consumer.run())
        if (session := self.consuming.now) is None:
            return
        try:
            await _unless_lost(session, consumer.tried())
        except asyncio.CancelledError:  # nobody has it to cancel it: it would go on for as long as the connection
            self.spawn(consumer.cancel())
            raise

    def spawn(self, run: Coroutine[Any, Any, None]) -> None:
        """Run something that ends by itself, or with everything."""
        try:
            if self._group is not None:
                self._group.create_task(run)
                return
        except RuntimeError:  # the group is shutting down
            pass
        run.close()

    async def declare_owned(self, queue: str) -> None:
        """Make a queue exist if it is a per-process one of ours."""
        if queue in self.owned:
            await objects.declare(self.consuming.current(), self.owned[queue])

    async def _announce(self) -> None:
        """Tell, each time anew, that the broker is there with all that was declared and consumed."""
        before: tuple[Session, Session] | None = None
        while True:
            sessions = await self._everything()
            self.reconnects += before is not None and sessions != before
            before = sessions
            self._settled.set()
            if self.started:
                self._call_back()
            while self.publishing.blocked is None and sessions == (self.publishing.now, self.consuming.now):
                await self._next_change()

    def _call_back(self) -> None:
        log.info("%s is connected%s", self.publishing.broker, " again" if self.reconnects else "")
        for callback in self.callbacks:
            try:
                callback()
            except Exception:  # a fault of one must not end the supervision of all
                log.exception("a callback for restored connections failed")

    async def _everything(self) -> tuple[Session, Session]:
        while True:
            self._changed.clear()  # before anything is looked at: what changes meanwhile is looked at anew
            publishing, consuming = await self.publishing.session(), await self.consuming.session()
            await _unless_lost(publishing, self.publisher.ready.wait())
            await self._restore_unheard(consuming)
            for consumer in self.consumers:
                await _unless_lost(consuming, consumer.tried())
            if self.whole and (publishing, consuming) == (self.publishing.now, self.consuming.now):
                return publishing, consuming
            await self._changed.wait()

    async def _restore_unheard(self, session: Session) -> None:
        """Owned queues that are consumed are declared by their consumers."""
        await self._restore(session, self.owned.keys() - {consumer.queue for consumer in self.consumers})

    async def _refresh(self) -> None:
        """With an exchange that is deleted go our bindings to it, untold: now and then they are made anew."""
        while True:
            await asyncio.sleep(_REFRESH.total_seconds())
            if (session := self.consuming.now) is not None:
                heard = {consumer.queue for consumer in self.consumers if not consumer.cancelled}
                await self._restore(session, self.owned.keys() & heard)

    async def _restore(self, session: Session, queues: Iterable[str]) -> None:
        for queue in queues:
            try:
                await objects.declare(session, self.owned[queue])
            except (BackhaulError, ChannelLost, TimeoutError) as error:
                self._complaints.say(queue, f"queue {queue} could not be declared again: {error}")
            else:
                self._complaints.settle(queue)

    async def _first_try(self) -> None:
        await asyncio.gather(self.publishing.tried.wait(), self.consuming.tried.wait())
        if self.publishing.up and self.consuming.up:
            await self._settled.wait()

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _change(self) -> None:
        self._changed.set()
        refusal = self.publishing.refusal or self.consuming.refusal
        hopeless = refusal is not None and refusal.final and not self._settled.is_set()
        if refusal is not None and refusal != self._told and not (hopeless and self._raises and not self.started):
            log.warning("%s", refusal.message)
        if hopeless:
            self._hopeless = refusal
            self._settled.set()
        self._told = refusal


async def _unless_lost(session: Session, condition: Coroutine[Any, Any, object]) -> None:
    """Wait for something that cannot come any more once the connection is lost."""
    waiting = asyncio.ensure_future(condition)
    try:
        await asyncio.wait((waiting, session.lost), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
