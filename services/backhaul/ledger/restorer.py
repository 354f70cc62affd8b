"""The restorer: what was deleted from the broker while the platform is at work is declared anew."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from itertools import count

from backhaul.core.clock import Clock
from backhaul.core.complaints import Complaints
from backhaul.core.errors import BrokerUnavailable, ConfigurationError
from backhaul.core.messages import topology
from backhaul.core.messages.topology import Topology
from backhaul.core.ports.broker import DELETION_SETTLES, Broker

_log = logging.getLogger("backhaul.ledger")

_LOOK = timedelta(seconds=5)
_LOOKS_TO_A_BINDING = 6


class Restorer:
    """Looks after the platform's queues; those of tokens are `TaskQueues`'. Any number of ledgers may do so at once.

    What a deleted queue held is made good elsewhere: workers repeat claims, beats and reports until they are answered.
    Only what others had published to the submit queue is lost with it.
    """

    def __init__(self, broker: Broker, clock: Clock, *, shards: int) -> None:
        self._broker = broker
        self._clock = clock
        self._kept = _each(topology.platform(shards))
        self._services: dict[str, Topology] = {}
        self._complaints = Complaints(_log)

    def keep(self, queues: Topology) -> None:
        """Look after the queues of a service, too. Events that are published while one is missing are lost to it."""
        self._services.update(_each(queues))

    async def run(self) -> None:
        """Look every few seconds, until cancelled."""
        for look in count(1):
            await self._clock.sleep(_LOOK)
            with suppress(BrokerUnavailable):  # it is looked again
                await self.restore()
                if look % _LOOKS_TO_A_BINDING == 0:
                    await self.bind()

    async def restore(self) -> None:
        """Declare what is missing, with its bindings; what cannot be had is told once. Raises `BrokerUnavailable`."""
        missing: dict[str, Topology] = {}

        async def look(name: str, wanted: Topology) -> bool:
            if await self._broker.ready(name) is not None:
                return True
            missing[name] = wanted
            return False

        await self._each_by_itself("queue", self._kept | self._services, look)
        if missing:
            await self._clock.sleep(DELETION_SETTLES)
            await self._each_by_itself("queue", missing, self._restore)

    async def bind(self) -> None:
        """Declare the queues of services, there or not: with an exchange that is deleted their bindings go, and nothing
        tells so. Those of the platform come back with the exchange, by `topology apply`. Raises `BrokerUnavailable`."""
        await self._each_by_itself("the binding of queue", self._services, self._bind)

    async def _each_by_itself(
        self, thing: str, queues: Mapping[str, Topology], act: Callable[[str, Topology], Awaitable[bool]]
    ) -> None:
        """`act` says whether all is well with a queue."""
        if not self._broker.connected:
            return
        for name, wanted in list(queues.items()):  # a service may come meanwhile
            try:
                well = await act(name, wanted)
            except ConfigurationError as error:
                self._complaints.say(f"{thing} {name}", error)
            else:
                if well:
                    self._complaints.settle(f"{thing} {name}")

    async def _restore(self, name: str, wanted: Topology) -> bool:
        if await self._broker.ready(name) is None:
            await self._broker.declare(wanted)
            _log.error("queue %s was deleted, with all it held: it is declared anew", name)
        return True

    async def _bind(self, name: str, wanted: Topology) -> bool:
        await self._broker.declare(wanted)
        return True


def _each(whole: Topology) -> dict[str, Topology]:
    """What makes a queue anew, for each."""
    return {
        queue.name: Topology(
            whole.exchanges, (queue,), tuple(binding for binding in whole.bindings if binding.queue == queue.name)
        )
        for queue in whole.queues
    }
