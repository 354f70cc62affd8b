"""Telling publishers: what becomes of their queues is their own affair, and must hold up nobody else."""

import logging
from collections.abc import Sequence

from backhaul.core.errors import Refused
from backhaul.core.ports.broker import Broker, Message

_log = logging.getLogger("backhaul.relay")


async def tell(broker: Broker, messages: Sequence[Message]) -> None:
    """Publish replies. One that its queue refuses, since it is full, is given up: the task still has what it says.

    Raises `BrokerUnavailable`: then any of them may have arrived.
    """
    try:
        await broker.publish(messages)
    except Refused:
        if len(messages) > 1:
            for message in messages:
                await tell(broker, [message])
            return
        _log.warning(
            "a reply does not fit into the queue %s of its publisher, and is given up", messages[0].routing_key
        )
