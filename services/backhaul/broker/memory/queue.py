"""A queue in memory: what waits, who consumes, and what becomes of what cannot be delivered."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Protocol

from backhaul.broker.memory.delivery import Stored
from backhaul.broker.memory.faults import Dice
from backhaul.core.messages.topology import OWNED_BYTES, OWNED_EXPIRY, Queue


class Taker(Protocol):
    """A consumer, as its queue sees it."""

    def hungry(self) -> bool:
        """Whether it takes a delivery now."""
        ...

    def take(self, stored: Stored) -> None: ...


class Keeper(Protocol):
    """What a queue needs of the hub it stands in."""

    @property
    def dice(self) -> Dice: ...

    def now(self) -> datetime: ...

    def later(self, length: timedelta, action: Callable[[], None]) -> None:
        """Do something after a time, by the hub's clock."""
        ...

    def dead_letter(self, queue: Queue, stored: Stored, reason: str) -> None: ...

    def delete(self, queue: str) -> None: ...


class MemoryQueue:
    """Delivers in turns of the event loop; every wait is by the hub's clock."""

    def __init__(self, spec: Queue, keeper: Keeper) -> None:
        self.spec = spec
        self.running = True
        """False while the broker is down."""
        self.look_lock = asyncio.Lock()
        """Held by who looks through the queue."""
        self._keeper = keeper
        self._takers: list[Taker] = []
        self._changes = 0
        """Grows when consumers come or go: nobody has used the queue since, if it is still the same later."""
        self._ready: deque[Stored] = deque()
        self._bytes = 0
        self._last_place = 0.0
        self._stalls = 0
        self._scheduled = False
        self._look_at: datetime | None = None
        self._watch_use()

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._ready)

    @property
    def readers(self) -> int:
        """How many consumers there are."""
        return len(self._takers)

    def attach(self, taker: Taker) -> None:
        self._changes += 1
        self._takers.append(taker)
        self.schedule()

    def detach(self, taker: Taker) -> None:
        if taker in self._takers:
            self._takers.remove(taker)
            self._watch_use()
            self.schedule()  # another one may be the single active consumer now

    def add(self, stored: Stored) -> None:
        """A message arrives."""
        self._insert(stored)
        self._watch_expiry()
        if (delay := self._keeper.dice.delay()) is not None:
            self._stalls += 1
            self._keeper.later(delay, self._resume)
        while self.spec.owned and self._bytes > OWNED_BYTES:
            self._keeper.dead_letter(self.spec, self._pop(), "maxlen")
        self.schedule()

    def give_back(self, returned: Iterable[Stored]) -> None:
        """Deliveries that were not acknowledged wait again, at their old places, unless that was too often."""
        for stored in returned:
            stored.deliveries += 1
            if self.spec.dead_letter_to is not None and stored.deliveries > self.spec.delivery_limit:
                self._keeper.dead_letter(self.spec, stored, "delivery_limit")
                continue
            self.put_back(stored)

    def take(self, limit: int) -> list[Stored]:
        """The first messages that wait."""
        self._expire()
        return [self._pop() for _ in range(min(limit, len(self._ready)))]

    def look(self, most: int, heaviest: int) -> list[Stored]:
        """The first messages that wait, and go on waiting: `most`, or as many as have `heaviest` bytes together."""
        self._expire()
        seen: list[Stored] = []
        for stored in islice(self._ready, most):
            if heaviest <= 0:
                break
            seen.append(stored)
            heaviest -= len(stored.message.body)
        return seen

    def remove(self, stored: Stored) -> bool:
        """Take one message out of those that wait. False: it is not among them."""
        try:
            self._ready.remove(stored)
        except ValueError:
            return False
        self._bytes -= len(stored.message.body)
        return True

    def put_back(self, stored: Stored) -> None:
        """What was removed waits again, at its old place, and was not delivered."""
        before = next((n for n, other in enumerate(self._ready) if other.place > stored.place), len(self._ready))
        self._ready.insert(before, stored)
        self._bytes += len(stored.message.body)
        self.schedule()

    def forget_transient(self) -> None:
        """What a restart of the broker does; quorum queues keep everything."""
        if self.spec.owned:
            self._ready = deque(stored for stored in self._ready if stored.message.persistent)
            self._bytes = sum(len(stored.message.body) for stored in self._ready)

    def schedule(self) -> None:
        """Deliver in the next turn of the loop."""
        if not self._scheduled and self._ready:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        if not self.running:
            return
        self._expire()
        while self._ready and not self._stalls and (taker := self._taker()) is not None:
            taker.take(self._pop())
        self._watch_expiry()

    def _taker(self) -> Taker | None:
        """The next consumer that is hungry: in turns, or none but the first if only one may be active."""
        if self.spec.single_active_consumer:
            return self._takers[0] if self._takers and self._takers[0].hungry() else None
        taker = next((taker for taker in self._takers if taker.hungry()), None)
        if taker is not None and len(self._takers) > 1:
            self._takers.remove(taker)
            self._takers.append(taker)
        return taker

    def _insert(self, stored: Stored) -> None:
        self._bytes += len(stored.message.body)
        overtaken = self._keeper.dice.overtakes(len(self._ready))
        if not overtaken:
            self._last_place = stored.place = self._last_place + 1
            self._ready.append(stored)
            return
        at = len(self._ready) - overtaken
        behind = self._ready[at].place
        before = self._ready[at - 1].place if at else behind - 1
        stored.place = (before + behind) / 2
        self._ready.insert(at, stored)

    def _pop(self) -> Stored:
        stored = self._ready.popleft()
        self._bytes -= len(stored.message.body)
        return stored

    def _expire(self) -> None:
        """A message that expires behind others waits for its turn to do so, as on RabbitMQ."""
        while self._ready and self._ready[0].expires_at is not None and self._ready[0].expires_at <= self._keeper.now():
            self._keeper.dead_letter(self.spec, self._pop(), "expired")

    def _watch_expiry(self) -> None:
        """Look again when the first message expires: with one wait for it, not one for each message."""
        first = self._ready[0].expires_at if self._ready else None
        if first is not None and (self._look_at is None or first < self._look_at):
            self._look_at = first
            self._keeper.later(first - self._keeper.now(), self._look_for_expired)

    def _look_for_expired(self) -> None:
        self._look_at = None
        self.schedule()

    def _resume(self) -> None:
        self._stalls -= 1
        self.schedule()

    def _watch_use(self) -> None:
        self._changes += 1
        if self.spec.owned and not self._takers:
            self._keeper.later(OWNED_EXPIRY, partial(self._delete_unused, self._changes))

    def _delete_unused(self, seen: int) -> None:
        if seen == self._changes:
            self._keeper.delete(self.spec.name)
