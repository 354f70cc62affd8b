"""Stop hints: the fast path of a cancel to the worker that runs the task. What it loses, the next beat repairs."""

import asyncio
import logging
from datetime import timedelta
from itertools import groupby

from backhaul.core.batching import Inbox
from backhaul.core.errors import BrokerUnavailable
from backhaul.core.messages import topology
from backhaul.core.ports.broker import Broker, Message
from backhaul_contracts.beats import Stop, StopReason
from backhaul_contracts.envelope import CLOUDEVENT_BATCH
from backhaul_contracts.messages import StopAsked, write_batch

_log = logging.getLogger("backhaul.gateway")

_BATCH = 500
_PATIENCE = timedelta(seconds=5)


class Hints:
    """Tells workers to stop attempts, in the background: no client waits for it."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._asked: Inbox[tuple[str, Stop]] = Inbox(_BATCH)

    def stop(self, worker_id: str, task_id: str, attempt: int, grace: timedelta | None) -> None:
        """Ask a worker to stop an attempt that was cancelled, within `grace` (None: that of its kind). Returns at
        once."""
        stop = Stop(task_id=task_id, attempt=attempt, reason=StopReason.CANCELLED, grace=grace)
        self._asked.put((worker_id, stop))

    async def run(self) -> None:
        """Publish hints, until cancelled."""
        while True:
            asked = await self._asked.take()
            if not self._broker.connected:
                continue
            try:
                async with asyncio.timeout(_PATIENCE.total_seconds()):
                    await self._broker.publish(_messages(asked))
            except (BrokerUnavailable, TimeoutError) as error:
                _log.info("%d workers hear of a cancel with their next beat: %s", len(asked), error)


def _messages(asked: list[tuple[str, Stop]]) -> list[Message]:
    by_worker = groupby(sorted(asked, key=lambda item: item[0]), key=lambda item: item[0])
    return [_message(worker_id, [stop for _, stop in items]) for worker_id, items in by_worker]


def _message(worker_id: str, stops: list[Stop]) -> Message:
    return Message(
        exchange=topology.CONTROL,
        routing_key=worker_id,
        body=write_batch("/backhaul/gateway", StopAsked, stops),
        content_type=CLOUDEVENT_BATCH,
        persistent=False,
        mandatory=False,
    )
