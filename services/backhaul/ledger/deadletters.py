"""Keeping what cannot be handled: unchanged, with the reason, where it is listed and can be replayed."""

import logging
from datetime import datetime

from backhaul.core.deadletters import set_aside
from backhaul.core.ports.broker import Broker, Delivery

_log = logging.getLogger("backhaul.ledger")


async def dead_letter(broker: Broker, queue: str, delivery: Delivery, reason: str, detail: str, now: datetime) -> None:
    """Publish `delivery` to `queue` as it came, with `bh-` headers that say why. Raises `BrokerUnavailable`."""
    await broker.publish([set_aside(delivery, queue, reason, detail, now)])
    _log.warning("a message to %s is set aside in %s: %s: %s", _address(delivery), queue, reason, detail)


def _address(delivery: Delivery) -> str:
    return f"{delivery.exchange} {delivery.routing_key!r}" if delivery.exchange else delivery.routing_key
