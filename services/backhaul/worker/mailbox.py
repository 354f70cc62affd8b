"""The mailbox of a worker: answers to what it asked, and requests to stop."""

import logging
from collections.abc import Callable
from typing import Any

from backhaul.core.messages import topology
from backhaul.core.ports.broker import Broker, Delivery, Subscription
from backhaul_contracts.beats import BeatAnswer, Stop
from backhaul_contracts.claims import ClaimAnswer
from backhaul_contracts.envelope import CLOUDEVENT_BATCH
from backhaul_contracts.messages import CONTROL, REPLIES
from backhaul_contracts.reports import Recorded

_log = logging.getLogger("backhaul.worker")

_CREDIT = 2_000

Answer = ClaimAnswer | BeatAnswer | Recorded


def reply_queue(worker_id: str) -> str:
    """Where answers to requests in the public form come to, by the default exchange."""
    return topology.mailbox(topology.REPLIES, worker_id).queues[0].name


class Mailbox:
    """Two queues of the worker's own. What is lost in them, the next beat, claim or report repairs."""

    def __init__(
        self,
        broker: Broker,
        worker_id: str,
        on_answer: Callable[[Answer], None],
        on_stop: Callable[[Stop], None],
        on_submitted: Callable[[Delivery], None],
    ) -> None:
        self._broker = broker
        self._replies = topology.mailbox(topology.REPLIES, worker_id)
        self._control = topology.mailbox(topology.CONTROL, worker_id)
        self._on_answer = on_answer
        self._on_stop = on_stop
        self._on_submitted = on_submitted
        self._subscriptions: dict[str, Subscription] = {}

    async def open(self) -> None:
        """Declare and consume. Raises `BrokerUnavailable`; then it can be called again."""
        for mailbox, read in ((self._replies, self._read_reply), (self._control, self._read_control)):
            queue = mailbox.queues[0].name
            if queue not in self._subscriptions:
                await self._broker.declare(mailbox)
                self._subscriptions[queue] = await self._broker.consume(queue, _settled(read), credit=_CREDIT)

    async def close(self) -> None:
        """Hear nothing any more."""
        for subscription in self._subscriptions.values():
            await subscription.cancel()
        self._subscriptions.clear()

    def _read_reply(self, delivery: Delivery) -> None:
        if delivery.content_type != CLOUDEVENT_BATCH:
            self._on_submitted(delivery)
            return
        answers, fault = REPLIES.salvage(delivery.body)
        for message in answers:
            self._on_answer(message.data)
        if fault is not None:
            raise fault

    def _read_control(self, delivery: Delivery) -> None:
        requests, fault = CONTROL.salvage(delivery.body)
        for message in requests:
            self._on_stop(message.data)
        if fault is not None:
            raise fault


def _settled(read: Callable[[Delivery], Any]) -> Callable[[Delivery], None]:
    """Read and acknowledge; what cannot be read is dropped, since it would not be read the next time either."""

    def on_delivery(delivery: Delivery) -> None:
        try:
            read(delivery)
        except ValueError as error:
            _log.error("a message to this worker cannot be read, and what is wrong with it is dropped: %s", error)
        delivery.ack()

    return on_delivery
