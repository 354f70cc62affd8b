"""The queues in which events wait for services: made to exist when a service says what it wants to hear."""

from collections.abc import Callable, Sequence

from backhaul.core.errors import ConfigurationError
from backhaul.core.messages import topology
from backhaul.core.messages.topology import Topology
from backhaul.core.ports.broker import Broker
from backhaul_contracts.kinds import Interest


class EventQueues:
    """Declares them. `keep` is told of what stands, to be looked after from then on."""

    def __init__(self, broker: Broker, keep: Callable[[Topology], None]) -> None:
        self._broker = broker
        self._keep = keep

    async def declare(self, interests: Sequence[Interest]) -> list[str]:
        """Make them exist; returns what is wrong with those that cannot be. Raises `BrokerUnavailable`."""
        faults = []
        for interest in interests:
            wanted = topology.event_queues([interest])
            try:
                await self._broker.declare(wanted)
            except ConfigurationError as error:
                faults.append(str(error))
            else:
                self._keep(wanted)
        return faults
