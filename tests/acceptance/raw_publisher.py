"""A producer and consumer that know the broker contract and nothing of Backhaul: aio-pika and JSON, no import of ours.

    python raw_publisher.py AMQP_URL KIND INPUT_JSON

Publishes one task, waits for its success on `backhaul.events`, and prints the event.
"""

import asyncio
import json
import sys
import uuid

import aio_pika


async def main(url: str, kind: str, body: str) -> None:
    connection = await aio_pika.connect(url)
    async with connection, asyncio.timeout(30):
        channel = await connection.channel(publisher_confirms=True)
        events = await channel.declare_queue(exclusive=False, durable=True, arguments={"x-expires": 60_000})
        await events.bind("backhaul.events", routing_key="task.#.succeeded")
        submit = await channel.get_exchange("backhaul.submit", ensure=False)
        key = str(uuid.uuid4())
        message = aio_pika.Message(
            body.encode(),
            content_type="application/json",
            message_id=key,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await submit.publish(message, routing_key=kind, mandatory=True)
        await submit.publish(message, routing_key=kind, mandatory=True)  # the same id twice makes one task
        async with events.iterator() as deliveries:
            async for delivery in deliveries:
                async with delivery.process():
                    event = json.loads(delivery.body)
                    if event["data"]["key"] == key:
                        print(json.dumps(event))
                        return


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
