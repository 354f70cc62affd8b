"""The queues that carry tokens: made to exist, each by itself, so that one that cannot be holds up no other."""

import logging
from collections.abc import Iterable

from backhaul.core.clock import Clock
from backhaul.core.complaints import Complaints
from backhaul.core.errors import ConfigurationError
from backhaul.core.messages import topology
from backhaul.core.ports.broker import DELETION_SETTLES, Broker

_log = logging.getLogger("backhaul.ledger")


class TaskQueues:
    """Declares and counts them. What is wrong with one is logged once and stands in `misfits` until it is mended."""

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._broker = broker
        self._clock = clock
        self.names: set[str] = set()
        """All that are known."""
        self._complaints = Complaints(_log)

    @property
    def misfits(self) -> list[str]:
        """One sentence for each queue that is not as it should be: thing, fact, remedy."""
        return self._complaints.standing

    async def declare(self, queues: Iterable[str]) -> list[str]:
        """Make them exist; returns what is wrong with those that cannot be. Raises `BrokerUnavailable`."""
        names = sorted(set(queues))
        self.names.update(names)
        try:
            await self._broker.declare(topology.task_queues(names))
        except ConfigurationError:
            return [fault for name in names if (fault := await self._fault(name)) is not None]
        for name in names:
            self._complaints.settle(_thing(name))
        return []

    async def ready(self, queues: Iterable[str]) -> dict[str, int | None]:
        """How many tokens wait in each; None where that cannot be told. A queue that is missing is made. Raises
        `BrokerUnavailable`."""
        missing: list[str] = []
        counts = {queue: await self._count(queue, missing) for queue in queues}
        if missing:
            await self._clock.sleep(DELETION_SETTLES)
        for queue in missing:
            _log.warning("%s was deleted: it is declared anew", _thing(queue))
            counts[queue] = None if await self.declare([queue]) else 0
        return counts

    async def _count(self, queue: str, missing: list[str]) -> int | None:
        try:
            count = await self._broker.ready(topology.task_queue(queue))
        except ConfigurationError as error:
            self._complaints.say(_thing(queue), error)
            return None
        if count is None:
            missing.append(queue)
        elif self._complaints.stands(_thing(queue)):
            await self.declare([queue])  # it is there, and what it lacked may have been its exchange
        return count

    async def _fault(self, queue: str) -> str | None:
        try:
            await self._broker.declare(topology.task_queues([queue]))
        except ConfigurationError as error:
            self._complaints.say(_thing(queue), error)
            return str(error)
        self._complaints.settle(_thing(queue))
        return None


def _thing(queue: str) -> str:
    return f"queue {topology.task_queue(queue)}"
