"""Keeping what cannot be handled: unchanged, with the reason, where it is listed and can be replayed."""

import logging
from contextlib import suppress
from datetime import datetime, timedelta

from backhaul.core.clock import Clock
from backhaul.core.errors import BrokerUnavailable, ConfigurationError
from backhaul.core.messages.deadletters import QUEUES, set_aside
from backhaul.core.ports.broker import Broker, Delivery

_log = logging.getLogger("backhaul.ledger")

_INTERVAL = timedelta(seconds=15)


async def dead_letter(broker: Broker, queue: str, delivery: Delivery, reason: str, detail: str, now: datetime) -> None:
    """Publish `delivery` to `queue` as it came, with `bh-` headers that say why. Raises `BrokerUnavailable`."""
    await broker.publish([set_aside(delivery, queue, reason, detail, now)])
    _log.warning("a message to %s is set aside in %s: %s: %s", _address(delivery), queue, reason, detail)


def _address(delivery: Delivery) -> str:
    return f"{delivery.exchange} {delivery.routing_key!r}" if delivery.exchange else delivery.routing_key


class Watch:
    """Tells the log when there are more dead letters: RabbitMQ gives up messages without a word to anybody."""

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._broker = broker
        self._clock = clock
        self.known: dict[str, int] = {}
        """How many each queue holds, as far as it was seen."""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            with suppress(BrokerUnavailable, ConfigurationError):  # others tell of outages and misfits
                await self.look()
            await self._clock.sleep(_INTERVAL)

    async def look(self) -> None:
        """Look once."""
        for queue in QUEUES:
            self._count(queue, await self._broker.ready(queue) or 0)

    def _count(self, queue: str, number: int) -> None:
        more = number - self.known.get(queue, 0)
        self.known[queue] = number
        if more > 0:
            _log.warning("%s holds %d dead letters, %d of them new: see `backhaul dead-letters`", queue, number, more)
