"""One who bound a queue to the public events before all began, and reads it when all is over."""

import asyncio
import json
from collections.abc import Iterable, Iterator
from datetime import timedelta

import aio_pika

from backhaul_contracts.events import EventType
from tests.proof.observations import LoggedEvent

QUEUE = "chaos.events"
_CREDIT = 1_000
_SILENCE = timedelta(seconds=2)
"""How long nothing must come before all has come."""

Heard = set[tuple[str, int]]
"""Task ids with the seq of an event."""


async def bind(amqp_url: str) -> None:
    """Have every public event kept from now on."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        await queue.bind("backhaul.events", routing_key="task.#")


async def heard(amqp_url: str) -> Heard:
    """All that was kept."""
    found: Heard = set()
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=_CREDIT)
        queue = await channel.get_queue(QUEUE)
        deliveries: asyncio.Queue[bytes] = asyncio.Queue()

        async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            deliveries.put_nowait(message.body)
            await message.ack()

        await queue.consume(take)
        while (body := await _next(deliveries)) is not None:
            event = json.loads(body)["data"]
            found.add((event["task_id"], event["seq"]))
    return found


def unheard(events: Iterable[LoggedEvent], found: Heard) -> Iterator[str]:
    """Public events of the record that were never published."""
    for event in events:
        if EventType(event.type).public and (event.task_id, event.seq) not in found:
            yield f"{event.type} (seq {event.seq} of {event.task_id}, at {event.at}) was never published"


async def _next(deliveries: asyncio.Queue[bytes]) -> bytes | None:
    try:
        async with asyncio.timeout(_SILENCE.total_seconds()):
            return await deliveries.get()
    except TimeoutError:
        return None
