"""A connection that is opened again whenever it is lost."""

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import timedelta

from yarl import URL

from backhaul.broker.rabbitmq.errors import Refusal, redacted
from backhaul.broker.rabbitmq.session import RefusedError, Session
from backhaul.core.errors import BrokerUnavailable
from backhaul.core.task.retry import backoff

_FIRST_WAIT = timedelta(milliseconds=100)
_LONGEST_WAIT = timedelta(seconds=2)
"""Within the shortest leases: a worker that comes back after the ledger has a lease's time to say that it lives."""
_STEADY = 5.0

log = logging.getLogger(__name__)


class Backoff:
    """The waits between tries that fail: longer each time, and short again after one that held for a while."""

    def __init__(self) -> None:
        self._failures = 0
        self._tried_at = 0.0

    def tried(self) -> None:
        """A try begins."""
        self._tried_at = asyncio.get_running_loop().time()

    async def wait(self) -> None:
        """The try is over: wait before the next one."""
        held = asyncio.get_running_loop().time() - self._tried_at
        self._failures = 1 if held > _STEADY else self._failures + 1
        pause = backoff(_FIRST_WAIT, _LONGEST_WAIT, self._failures, random.random)
        await asyncio.sleep(pause.total_seconds())


class Link:
    """One supervised connection. `run` must be running."""

    def __init__(self, url: URL, *, name: str, heartbeat: timedelta, on_change: Callable[[], None]) -> None:
        self.broker = f"RabbitMQ at {redacted(url)}"
        self.refusal: Refusal | None = None
        """Why the last try to connect failed; None once connected."""
        self.tried = asyncio.Event()
        """Set when the first try is over, either way."""
        self._url = url
        self._name = name
        self._heartbeat = heartbeat
        self._on_change = on_change
        self._session: Session | None = None
        self._up = asyncio.Event()
        self._lost_because = "it is not connected yet"

    @property
    def now(self) -> Session | None:
        """The live connection, if there is one."""
        return self._session if self._session is not None and not self._session.lost.done() else None

    @property
    def up(self) -> bool:
        return self.now is not None

    @property
    def blocked(self) -> str | None:
        """Why the broker takes no messages on this connection at present, if so."""
        session = self.now
        return session.wire.blocked if session is not None else None

    @property
    def complaint(self) -> str:
        """One sentence on why there is no connection, or why the broker takes no messages on it."""
        if self.blocked is not None:
            return f"{self.broker} takes no messages now ({self.blocked}): make room"
        if self.refusal is not None:
            return self.refusal.message
        return f"{self.broker} is not connected ({self._lost_because}): it is tried again"

    async def session(self) -> Session:
        """The live connection, as soon as there is one."""
        while (session := self.now) is None:
            self._up.clear()
            await self._up.wait()
        return session

    def current(self) -> Session:
        """The live connection, or `BrokerUnavailable` at once."""
        session = self.now
        if session is None:
            raise BrokerUnavailable(self.complaint)
        return session

    async def run(self) -> None:
        """Connect, wait for the end of the connection, connect again."""
        pause = Backoff()
        while True:
            pause.tried()
            session = await self._open()
            if session is not None:
                await self._hold(session)
            await pause.wait()

    async def _open(self) -> Session | None:
        try:
            session = await Session.open(self._url, name=self._name, heartbeat=self._heartbeat)
        except RefusedError as error:
            self.refusal = error.refusal
            self.tried.set()
            self._on_change()
            return None
        self.refusal = None
        return session

    async def _hold(self, session: Session) -> None:
        session.wire.on_alarm = self._alarmed
        self._session = session
        self._up.set()
        self.tried.set()
        self._on_change()
        try:
            self._lost_because = await session.watch(self._heartbeat * 2)
            log.warning("%s was lost by %s: %s", self.broker, self._name, self._lost_because)
        finally:
            self._session = None
            self._on_change()
            await session.close()

    def _alarmed(self) -> None:
        if self.blocked is not None:
            log.warning("%s; %s waits", self.complaint, self._name)
        else:
            log.info("%s takes messages of %s again", self.broker, self._name)
        self._on_change()
