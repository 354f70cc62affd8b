"""An intake that answers submissions as a test tells it."""

from typing import Any

from backhaul.core.messages import topology
from backhaul.core.ports.broker import Delivery, Message
from backhaul_contracts import codec
from backhaul_contracts.envelope import CLOUDEVENT
from tests.support.deadlines import until
from tests.unit.worker.stage import Stage


class Intake:
    """Answers submissions as it is told to."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.heard: list[Delivery] = []

    async def listen(self) -> None:
        await self._stage.ledger.broker.consume(topology.SUBMIT, self.heard.append, credit=100)

    async def answer(self, delivery: Delivery, outcome: str, data: Any) -> None:
        event = {"specversion": "1.0", "id": "1", "source": "/x", "type": f"dev.backhaul.task.{outcome}", "data": data}
        message = Message(
            exchange="",
            routing_key=str(delivery.reply_to),
            body=codec.dumps(event),
            content_type=CLOUDEVENT,
            correlation_id=delivery.correlation_id,
        )
        await self._stage.ledger.broker.publish([message])

    async def next(self, count: int) -> Delivery:
        """The submission of this number, from 1."""
        await until(lambda: len(self.heard) >= count)
        return self.heard[count - 1]

    async def tell(self, delivery: Delivery, status: str, task_id: str = "tsk_child", **more: Any) -> None:
        """Answer with the task: accepted while it is not done, else its end."""
        done = status in ("succeeded", "failed", "cancelled", "expired")
        task = {"id": task_id, "kind": delivery.routing_key, "status": status, "done": done, "result": None}
        await self.answer(delivery, status if done else "accepted", {**task, "error": None, **more})
