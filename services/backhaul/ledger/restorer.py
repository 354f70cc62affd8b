"""The restorer: what was deleted from the broker while the platform is at work is declared anew."""

import logging
from datetime import timedelta

from backhaul.core import topology
from backhaul.core.clock import Clock
from backhaul.core.errors import BrokerUnavailable, ConfigurationError
from backhaul.core.ports.broker import Broker
from backhaul.core.topology import Queue, Topology

_log = logging.getLogger("backhaul.ledger")

_LOOK = timedelta(seconds=5)


class Restorer:
    """Looks after the platform's queues; those of tokens are `TaskQueues`'. Any number of ledgers may do so at once.

    What a deleted queue held is made good elsewhere: workers repeat claims, beats and reports until they are answered.
    Only what others had published to the submit queue is lost with it.
    """

    def __init__(self, broker: Broker, clock: Clock, *, shards: int) -> None:
        self._broker = broker
        self._clock = clock
        self._expected = topology.platform(shards)
        self._kept: dict[str, Topology] = {}
        self._told = ""

    def keep(self, queues: Topology) -> None:
        """Look after the queues of a service, too. Events that are published while one is missing are lost to it."""
        for queue in queues.queues:
            self._kept[queue.name] = queues

    async def run(self) -> None:
        """Look every few seconds, until cancelled."""
        while True:
            await self._clock.sleep(_LOOK)
            try:
                await self.restore()
            except (BrokerUnavailable, ConfigurationError) as error:
                if self._told != (told := str(error)):
                    _log.warning("it cannot be seen whether every queue stands: %s", error)
                self._told = told

    async def restore(self) -> None:
        """Declare what is missing, with its bindings. Raises what an outage raises, and `ConfigurationError` if this
        user may not declare."""
        if not self._broker.connected:
            return
        for queue in self._expected.queues:
            if await self._broker.ready(queue.name) is None:
                await self._restore(queue)
        for name, wanted in self._kept.items():
            if await self._broker.ready(name) is None:
                _log.error("queue %s was deleted, with all it held: it is declared anew", name)
                await self._broker.declare(wanted)
        self._told = ""

    async def _restore(self, queue: Queue) -> None:
        _log.error("queue %s was deleted, with all it held: it is declared anew", queue.name)
        bindings = tuple(binding for binding in self._expected.bindings if binding.queue == queue.name)
        await self._broker.declare(Topology(self._expected.exchanges, (queue,), bindings))
