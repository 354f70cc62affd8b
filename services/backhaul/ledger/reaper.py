"""The reaper: what time asks for. Due retries and schedules, lapsed leases, lost tokens, owed messages, retention."""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from backhaul.core.clock import Clock
from backhaul.core.complaints import Complaints
from backhaul.core.errors import BrokerUnavailable, ConfigurationError, StoreUnavailable
from backhaul.core.messages.relay import Relay
from backhaul.core.ports.broker import Broker
from backhaul.core.ports.store import Store
from backhaul.core.task.commands import Lose
from backhaul.ledger.balance import Balance
from backhaul.ledger.desk import supervise
from backhaul.ledger.lapses import lapse_messages

_log = logging.getLogger("backhaul.reaper")

_LIMIT = 500
_MOST_LAPSES = 20_000
"""Under way to the recorders at a time."""
_OWED = 50
"""Each may stand for a thousand tasks and all that happened to them."""
_TICK = timedelta(milliseconds=500)
_SWEEP = timedelta(seconds=2)
_BALANCE = timedelta(seconds=5)
_PURGE = timedelta(seconds=30)
_OWED_AFTER = timedelta(seconds=5)
_EVER = datetime.min.replace(tzinfo=UTC)


class Reaper:
    """Any number may run at once: each of its acts is guarded by the store, so that doing it twice does nothing.

    `patience` is how long it has to be at work without a break before it takes leases away: workers that could not be
    heard meanwhile must get the chance to speak first (I4, I10). A break is an outage, and whatever kept it from
    looking: the process or its machine stood still, or the clock of the store was set. `alone`: its start is none.
    """

    def __init__(
        self,
        store: Store,
        broker: Broker,
        relay: Relay,
        balance: Balance,
        clock: Clock,
        source: str,
        *,
        patience: timedelta,
        alone: bool = False,
    ) -> None:
        self._store = store
        self._broker = broker
        self._relay = relay
        self._balance = balance
        self._complaints = Complaints(_log)
        self._clock = clock
        self._source = source
        self._patience = patience
        self._sound_since = _EVER if alone else None
        self._looked_at: datetime | None = None
        self.lapses = 0
        """How many attempts were found whose lease had lapsed."""
        self.swept = 0
        """How many dispatches were published that others had left behind."""
        self._sent: dict[Lose, datetime] = {}
        """Lapses that were sent less than a lease ago. An attempt cannot lapse again sooner."""

    async def run(self) -> None:
        await supervise(
            self._every(_TICK, self.release),
            self._every(min(_TICK, self._patience / 4), self.reap),  # seldom looks would count as breaks
            self._every(_SWEEP, self.sweep),
            self._every(_BALANCE, self._balance.balance),
            self._every(_TICK, self._balance.refill),
            self._every(_PURGE, self.purge),
        )

    async def _every(self, interval: timedelta, act: Callable[[], Awaitable[bool]]) -> None:
        """Act, at once again as long as there is more to do. An outage is waited out, and noted; what is set up wrong
        may be mended by people meanwhile, and is tried again too."""
        while True:
            try:
                more = await act()
            except (StoreUnavailable, BrokerUnavailable) as error:
                self._sound_since = None
                self._complaints.say(act.__name__, f"{act.__name__} waits for an outage to end: {error}")
                more = False
            except ConfigurationError as error:
                self._complaints.say(act.__name__, error)
                more = False
            else:
                self._complaints.settle(act.__name__)
            if not more:
                await self._clock.sleep(interval)

    async def release(self) -> bool:
        """Queue what is due, expire what came too late, give up on cancels whose grace is over."""
        commands = await self._store.overdue(_LIMIT)
        if commands:
            _, dispatch = await self._store.advance(commands)
            self._relay.hand_over(dispatch)
        return len(commands) == _LIMIT

    async def reap(self) -> bool:
        """Send lapsed attempts through their own shards, behind reports in flight; never change them here."""
        now = await self._store.now()
        if not self._has_been_patient(now):
            return False
        self._sent = {lose: sent_at for lose, sent_at in self._sent.items() if now - sent_at < self._patience}
        if len(self._sent) >= _MOST_LAPSES:
            return False
        found = await self._store.lapsed(_LIMIT + len(self._sent))
        lapsed = [lose for lose in found if lose not in self._sent]
        if lapsed:
            _log.warning("the leases of %d attempts have lapsed", len(lapsed))
            await self._broker.publish(lapse_messages(self._source, lapsed))
            self._sent.update(dict.fromkeys(lapsed, now))
            self.lapses += len(lapsed)
        return len(lapsed) >= _LIMIT

    def _has_been_patient(self, now: datetime) -> bool:
        """To be asked at each look. A worker beats at least three times in a lease: half of one without a look is a
        break that no lease has run out in."""
        last, self._looked_at = self._looked_at, now
        stood_still = last is not None and not timedelta(0) <= now - last < self._patience / 2
        if not self._broker.connected:
            self._sound_since = None
            return False
        if stood_still:
            self._sent.clear()
        if stood_still or self._sound_since is None:
            self._sound_since = now
        return now - self._sound_since >= self._patience

    async def sweep(self) -> bool:
        """Publish what a crash or a broker outage has left in the outbox, in order of its commit."""
        if not self._broker.connected:
            return False
        dispatches = await self._store.owed(_OWED_AFTER, _OWED)
        if dispatches:
            await self._relay.publish(dispatches)
            self.swept += len(dispatches)
            _log.info("%d dispatches left behind were published", len(dispatches))
        return bool(dispatches)

    async def purge(self) -> bool:
        """Delete tasks whose retention is over."""
        return await self._store.purge(_LIMIT) == _LIMIT
