"""Answers to workers, each by the worker's own mailbox, joined to one message a worker."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from backhaul.core.batching import Inbox, portions
from backhaul.core.errors import BrokerUnavailable
from backhaul.core.messages import topology
from backhaul.core.ports.broker import Broker, Message
from backhaul.core.task.record import RawJson
from backhaul_contracts.envelope import CLOUDEVENT_BATCH, CloudEvent
from backhaul_contracts.messages import write_batch

_log = logging.getLogger("backhaul.ledger")

Data = BaseModel | RawJson
"""What an answer says: as a model, or as the JSON of one."""

_LARGEST = 8 * 1024 * 1024
"""RabbitMQ 4 refuses messages of more than 16 MiB, and a mailbox holds 64."""


@dataclass(frozen=True, slots=True)
class _Answer:
    worker_id: str
    event: type[CloudEvent]
    data: Data


class Answers:
    """Sends answers without holding up who gives them. One that is lost is asked for again by its worker."""

    def __init__(self, broker: Broker, source: str) -> None:
        self._broker = broker
        self._source = source
        self._inbox: Inbox[_Answer] = Inbox(2_000)

    def send(self, worker_id: str | None, event: type[CloudEvent], data: Data) -> None:
        """Returns at once. Without a worker id nobody waits for the answer."""
        if worker_id is not None:
            self._inbox.put(_Answer(worker_id, event, data))

    async def run(self) -> None:
        while True:
            answers = await self._inbox.take()
            try:
                for portion in portions(self._messages(answers), _weight, most=len(answers), heaviest=_LARGEST):
                    await self._broker.publish(portion)
            except BrokerUnavailable as error:
                _log.info("%d answers were lost, their workers will ask again: %s", len(answers), error)

    def _messages(self, answers: Iterable[_Answer]) -> Iterable[Message]:
        groups: dict[tuple[str, type[CloudEvent]], list[Data]] = {}
        for answer in answers:
            groups.setdefault((answer.worker_id, answer.event), []).append(answer.data)
        for (worker_id, event), items in groups.items():
            yield from self._joined(worker_id, event, items)

    def _joined(self, worker_id: str, event: type[CloudEvent], items: Sequence[Data]) -> Iterable[Message]:
        """One message, or more if it would be too large."""
        body = write_batch(self._source, event, items)
        if len(body) > _LARGEST and len(items) > 1:
            half = len(items) // 2
            yield from self._joined(worker_id, event, items[:half])
            yield from self._joined(worker_id, event, items[half:])
            return
        yield Message(
            exchange=topology.REPLIES,
            routing_key=worker_id,
            body=body,
            content_type=CLOUDEVENT_BATCH,
            persistent=False,
            mandatory=False,
        )


def _weight(message: Message) -> int:
    return len(message.body)
