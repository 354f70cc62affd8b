"""Shards: what is left on the broker when the number of queues that carry reports has changed.

Queues that are too many stay bound to their keys, and nobody reads them any more. What is in them is moved to the
queues of today before they go.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

from backhaul.core.batching import Inbox
from backhaul.core.messages import topology
from backhaul.core.messages.topology import SHARD_KEYS, Binding, Misfit, Topology
from backhaul.core.ports.broker import Broker, Delivery, Message

_log = logging.getLogger("backhaul.ledger")

_CREDIT = 200
_LULL = timedelta(milliseconds=500)
_LEFT = (
    "when no ledger with more shards runs any more, run `backhaul topology apply`, or start a ledger anew: "
    "what is in the queue is moved to the others, and the queue deleted"
)


class Shards:
    """The queues of reports, of which there are to be `count`. Every call may raise `BrokerUnavailable` or
    `ConfigurationError`, and can be repeated."""

    def __init__(self, broker: Broker, count: int) -> None:
        self._broker = broker
        self._count = count

    async def surplus(self) -> list[Misfit]:
        """The queues of a larger number of shards."""
        return [
            Misfit(f"queue {queue}", f"is left over: there are {self._count} shards now", _LEFT)
            for queue in await self._surplus()
        ]

    async def retire(self) -> bool:
        """Move what is in surplus queues, and delete them, the last one first. Returns whether none is left.

        One that is still read stays as it is: its reader belongs to a ledger with more shards, and does its work.
        """
        for queue in reversed(await self._surplus()):
            if await self._broker.readers(queue) or not await self._empty(queue):
                return False
            await self._broker.delete(queue)
            _log.warning("queue %s was left over from more shards: it is empty now, and deleted", queue)
        return True

    async def part(self) -> bool:
        """Let each queue get its own reports only, if all of them are read. Returns whether that was done.

        Until then a queue that has been there before gets copies of what belongs to the new ones, which is only dear.
        """
        queues = [topology.ledger_queue(number) for number in range(self._count)]
        if not all([await self._broker.readers(queue) for queue in queues]):
            return False
        for number, queue in enumerate(queues):
            foreign = [key for key in range(SHARD_KEYS) if key % self._count != number]
            await self._broker.unbind([Binding(topology.REPORTS, queue, str(key)) for key in foreign])
        return True

    def _bindings(self) -> Iterator[Binding]:
        for key in range(SHARD_KEYS):
            yield Binding(topology.REPORTS, topology.ledger_queue(key % self._count), str(key))

    async def _surplus(self) -> list[str]:
        """They have been made without holes, and go from the last one on."""
        found: list[str] = []
        for number in range(self._count, SHARD_KEYS):
            queue = topology.ledger_queue(number)
            if await self._broker.ready(queue) is None:
                break
            found.append(queue)
        return found

    async def _empty(self, queue: str) -> bool:
        """Move everything to where it belongs today. Returns whether nobody else reads the queue meanwhile."""
        await self._broker.declare(Topology(bindings=tuple(self._bindings())))  # maybe nobody has applied it
        await self._broker.unbind([Binding(topology.REPORTS, queue, str(key)) for key in range(SHARD_KEYS)])
        inbox: Inbox[Delivery] = Inbox(_CREDIT)
        subscription = await self._broker.consume(queue, inbox.put, credit=_CREDIT, on_lost=inbox.clear)
        try:
            moved = await self._move(queue, inbox)
            alone = await self._broker.readers(queue) == 1
        finally:
            await subscription.cancel()
        if moved:
            _log.warning("%d messages of queue %s were moved to the shards of today", moved, queue)
        return alone

    async def _move(self, queue: str, inbox: Inbox[Delivery]) -> int:
        moved = 0
        while True:
            deliveries: list[Delivery] = []
            with suppress(TimeoutError):
                async with asyncio.timeout(_LULL.total_seconds()):
                    deliveries = await inbox.take()
            if not deliveries and not await self._broker.ready(queue):
                return moved
            await self._broker.publish([_again(delivery) for delivery in deliveries])
            for delivery in deliveries:
                delivery.ack()
            moved += len(deliveries)


def _again(delivery: Delivery) -> Message:
    copies = delivery.headers.get("CC")
    return Message(
        exchange=topology.REPORTS,
        routing_key=delivery.routing_key,
        copies_to=tuple(map(str, copies)) if isinstance(copies, list | tuple) else (),
        body=delivery.body,
        content_type=delivery.content_type or "",
        message_id=delivery.message_id,
        reply_to=delivery.reply_to,
    )
