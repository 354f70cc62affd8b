"""Tokens: invitations to claim, held as unsettled deliveries of one queue."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from backhaul.core.complaints import Complaints
from backhaul.core.errors import BrokerUnavailable, ConfigurationError
from backhaul.core.messages import topology
from backhaul.core.ports.broker import Broker, Delivery, Subscription
from backhaul.worker.claiming.slots import KindSlots, Slots
from backhaul.worker.timers import Timers

_log = logging.getLogger("backhaul.worker")

_SHORTEST_REST = timedelta(milliseconds=50)
_LONGEST_REST = timedelta(seconds=1)


@dataclass(slots=True, eq=False)
class Token:
    """`generation`: settling it lets another one come only if the consumer was not resized since it came."""

    delivery: Delivery
    stream: "TokenStream"
    generation: int


class TokenStream:
    """The tokens of one queue. A token that waits has a slot reserved for it; one for which there is none is surplus.

    `open` counts the tokens that can still come. As long as settling one lets the next come in step with its slot, the
    consumer is left alone; `unbalanced` says that it is to be resized.
    """

    def __init__(
        self,
        queue: str,
        kinds: Sequence[KindSlots],
        slots: Slots,
        *,
        on_token: Callable[[], None],
        on_unbalanced: Callable[[], None],
    ) -> None:
        self.queue = queue
        self.waiting: deque[Token] = deque()
        self.claimed = 0
        """How many slots are reserved for open claims on this queue."""
        self._kinds = kinds
        self._slots = slots
        self._on_token = on_token
        self._on_unbalanced = on_unbalanced
        self._subscription: Subscription | None = None
        self._closed = False
        self._generation = 0
        self._credit = 0
        self._open = 0
        self._interrupted = False
        self._surplus: list[Token] = []
        self._aged: list[Token] = []
        self._complaints = Complaints(_log)
        self.resting = False
        """Whether it lets tokens go to other workers."""
        self._rest = _SHORTEST_REST

    def rest(self, timers: Timers) -> None:
        """What waits is for other workers: leave the tokens to them for a moment, each time for a longer one."""
        if self.resting:
            return
        self.resting = True
        self._interrupted = True
        timers.after(self._rest, self._resume)
        self._rest = min(2 * self._rest, _LONGEST_REST)
        self._on_unbalanced()

    def rested(self) -> None:
        """Some of it was for this worker."""
        self._rest = _SHORTEST_REST

    def _resume(self) -> None:
        self.resting = False
        self._on_unbalanced()

    @property
    def shut(self) -> bool:
        """Whether no token comes at all until it is resized."""
        return self._credit == 0

    async def contends(self, broker: Broker) -> bool:
        """Whether tokens wait in its queue, or go back there. As far as is known, if the broker cannot be asked."""
        if self._surplus:
            return True
        queue = topology.task_queue(self.queue)
        try:
            waiting = await broker.ready(queue)
        except BrokerUnavailable:
            return False
        except ConfigurationError as error:
            self._complaints.say(f"queue {queue}", error)
            return False
        self._complaints.settle(f"queue {queue}")
        return bool(waiting)

    @property
    def owes(self) -> bool:
        """Whether something waits for it to be resized."""
        return bool(self._surplus or self._aged or self._interrupted)

    @property
    def unbalanced(self) -> bool:
        return self._subscription is not None and (self.owes or self._open < self.room())

    def room(self) -> int:
        """How many more tokens there are slots for."""
        if self.resting:
            return 0
        room = self._slots.free
        if all(kind.handler.slots is not None for kind in self._kinds):
            startable = sum((kind.handler.slots or 0) - kind.running - kind.resuming for kind in self._kinds)
            room = min(room, startable - len(self.waiting) - self.claimed)
        return max(0, room)

    def tighten(self) -> None:
        """A slot was taken without a token: let fewer come, if more may than there are slots for."""
        if self._subscription is not None and self._open > self.room():
            self._interrupted = True
            self._on_unbalanced()

    async def consume(self, broker: Broker) -> None:
        """Begin, if that is not done. The queue must exist. Raises `BrokerUnavailable`."""
        if self._subscription is not None:
            return
        self._open = self._credit = self.room()
        queue = topology.task_queue(self.queue)
        self._subscription = await broker.consume(queue, self._arrived, credit=self._credit, on_lost=self._lost)

    async def resize(self, *, least: int = 0, most: int | None = None) -> None:
        """Let as many tokens come as there are slots for, within these bounds; then settle what waited for that."""
        if self._subscription is None or self._closed:
            return
        aged, self._aged = self._aged, []
        surplus, self._surplus = self._surplus, []
        await self._subscription.resize(lambda: self._measure(least, most))
        for token in aged:
            token.delivery.ack()
        for token in surplus:
            token.delivery.requeue()

    async def close(self) -> None:
        """No more tokens; those that no claim was made for go back."""
        self._closed = True
        if self._subscription is not None:
            await self._subscription.cancel()
        for token in self.waiting:
            self._slots.unreserve()
            token.delivery.requeue()
        for token in self._surplus:
            token.delivery.requeue()
        for token in self._aged:
            token.delivery.ack()
        self.waiting.clear()
        self._surplus.clear()
        self._aged.clear()

    def decline(self) -> None:
        """Nothing can be claimed for the tokens that wait: they go back, and keep no slots."""
        self._slots.unreserve(len(self.waiting))
        self._surplus.extend(self.waiting)
        self.waiting.clear()
        self._on_unbalanced()

    def settle(self, token: Token) -> None:
        """The token has done its work, and its slot is free."""
        token.delivery.ack()
        if token.generation == self._generation:
            self._open += 1

    def settle_early(self, token: Token) -> None:
        """Its slot stays taken: it may be settled only when that lets no other token come."""
        if token.generation != self._generation or self._closed:
            token.delivery.ack()
        else:
            self._aged.append(token)
            self._on_unbalanced()

    def _measure(self, least: int, most: int | None) -> int:
        room = 0 if self.resting else max(least, self.room())
        self._generation += 1
        self._interrupted = False
        self._open = self._credit = room if most is None else min(room, most)
        return self._credit

    def _arrived(self, delivery: Delivery) -> None:
        self._open -= 1
        token = Token(delivery, self, self._generation)
        if self._closed:
            delivery.requeue()
        elif self._slots.free:
            self._slots.reserve()
            self.waiting.append(token)
            self._on_token()
        else:
            self._surplus.append(token)
            self._on_unbalanced()

    def _lost(self) -> None:
        """Everything held is void, the broker delivers it again; it goes on with the last credit."""
        self._generation += 1
        self._interrupted = True
        self._open = self._credit
        self._slots.unreserve(len(self.waiting))
        self.waiting.clear()
        self._surplus.clear()
        self._aged.clear()
        self._on_unbalanced()
