"""The balance of tokens: as many in each queue as there are tasks, or a few more.

Tokens are anonymous and none is sacred: workers drop what they claim on in vain, brokers lose queues, and operators
purge them. What is missing is issued anew, and what is far too much is taken away, before workers ask for each of them.
"""

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta

from backhaul.core.messages import topology
from backhaul.core.messages.announcements import spare_tokens
from backhaul.core.ports.broker import Broker, Delivery, Message
from backhaul.core.ports.store import Store
from backhaul.ledger.taskqueues import TaskQueues

_log = logging.getLogger("backhaul.reaper")

_COUNTED = 1_000
"""The store counts no further at each look: whether more are too many is not known then."""
_MOST_LOST = 100_000
"""So many are issued at one look. It is as well to be exact: that these are read as fast as workers can is not."""
_PORTION = 1_000
_SPARE = 1_000
"""So many more tokens than tasks are left alone: they may belong to tasks that are just being accepted."""
_AT_ONCE = 5_000
_CREDIT = 500
_FOR_TOKENS = timedelta(seconds=5)
_A_FEW = 50


class Balance:
    """Any number may be at work at once. What one does too much, the next look makes good."""

    def __init__(self, store: Store, broker: Broker, queues: TaskQueues) -> None:
        self._store = store
        self._broker = broker
        self._queues = queues
        self._short: dict[str, int] = {}
        self._missed: set[str] = set()
        self.issued = 0
        self.dropped = 0

    def missed(self, queue: str) -> None:
        """Tokens were dropped by workers that could not start what waits there: others may wait for them in vain."""
        self._missed.add(queue)

    async def refill(self) -> bool:
        """A few tokens, soon, for queues in which some were dropped by the wrong workers and none is left."""
        if not self._missed or not self._broker.connected:
            return False
        missed, self._missed = self._missed, set()
        try:
            claimable = await self._store.claimable()
            for queue, count in (await self._queues.ready(missed & claimable.keys())).items():
                if count == 0:
                    await self._publish(spare_tokens(queue, min(claimable[queue], _A_FEW)))
        except BaseException:
            self._missed |= missed
            raise
        return False

    async def balance(self) -> bool:
        """Issue tokens anew for queues in which tasks wait but, on two looks, no token does; take away a surplus."""
        if not self._broker.connected:
            return False
        claimable = await self._store.claimable()
        ready = await self._queues.ready(sorted(self._queues.names | claimable.keys()))
        short = {queue: count for queue, count in claimable.items() if ready[queue] == 0}
        lost = {queue: short[queue] for queue in short.keys() & self._short.keys()}
        if _COUNTED in lost.values():
            waiting = await self._store.waiting(_MOST_LOST)
            lost = {queue: waiting.get(queue, 0) for queue in lost}
        await self._queues.declare(lost)  # what was deleted may be the binding: then all that is issued goes astray
        for queue, count in lost.items():
            await self.issue(queue, count)
        self._short = short
        surplus = {queue: (count or 0) - claimable.get(queue, 0) - _SPARE for queue, count in ready.items()}
        spare = [queue for queue, count in surplus.items() if count > 0 and claimable.get(queue, 0) < _COUNTED]
        for queue in spare:
            await self._drop(queue, min(surplus[queue], _AT_ONCE))
        return bool(spare)

    async def issue(self, queue: str, count: int) -> None:
        """Publish tokens for a queue in which so many tasks wait."""
        for first in range(0, count, _PORTION):
            await self._publish(spare_tokens(queue, min(_PORTION, count - first)))
        _log.info("%d tokens were issued anew for queue %s", count, queue)

    async def _publish(self, tokens: list[Message]) -> None:
        await self._broker.publish(tokens)
        self.issued += len(tokens)

    async def _drop(self, queue: str, count: int) -> None:
        """Take so many of the oldest tokens away. Workers may take some of them meanwhile."""
        dropped = 0
        beyond: list[Delivery] = []
        done = asyncio.Event()

        def drop(delivery: Delivery) -> None:
            nonlocal dropped
            if dropped == count:
                beyond.append(delivery)  # to go back when it cannot come again at once
                return
            dropped += 1
            delivery.ack()
            if dropped == count:
                done.set()

        subscription = await self._broker.consume(topology.task_queue(queue), drop, credit=min(count, _CREDIT))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FOR_TOKENS.total_seconds()):
                    await done.wait()
        finally:  # else a ledger that ends meanwhile would go on dropping what comes, or keep it to itself
            await subscription.cancel()
            for delivery in beyond:
                delivery.requeue()
            self.dropped += dropped
        _log.info("%d tokens too many were taken out of queue %s", dropped, queue)
