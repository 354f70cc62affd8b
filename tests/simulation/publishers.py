"""Direct publishers: tasks come in over the broker, published until they are confirmed, and are answered there."""

import asyncio
from collections import Counter
from typing import cast

from backhaul.core.errors import BrokerUnavailable
from backhaul.core.messages import topology
from backhaul.core.messages.topology import Binding, Queue, Topology
from backhaul.core.ports.broker import Broker, Delivery, Message
from backhaul_contracts import codec
from backhaul_contracts.tasks import Status
from tests.proof.observations import Answer, Submitted
from tests.simulation.brokers import RemoteBroker
from tests.simulation.clients import Wish
from tests.simulation.loop import Process
from tests.simulation.roles import Ground

_REPLIES, _EVENTS = "sim.replies", "sim.events"


class Publisher:
    """A program in any language, which outlives everything.

    `confirmed`: what the broker has taken from it, by key; `heard`: the public events that came, by task and `seq`.
    """

    def __init__(self, ground: Ground) -> None:
        self.confirmed: Counter[str] = Counter()
        self._ground = ground
        self.heard: set[tuple[str, int]] = set()
        self.answered: set[str] = set()
        self._made: dict[str, str] = {}
        self._kinds: dict[str, str] = {}
        self._process: Process
        self._broker: Broker

    async def start(self) -> None:
        ground = self._ground
        self._process = Process("publisher", "publisher")
        remote = RemoteBroker(
            ground.hub, ground.clock, self._process, ground.points, ground.weather, ground.witness.met
        )
        self._broker = cast("Broker", remote)
        await self._broker.start(required=True)
        await self._broker.declare(Topology(queues=(Queue(_REPLIES),)))
        await self._broker.consume(_REPLIES, self._answered, credit=100)
        every_event = Topology(queues=(Queue(_EVENTS),), bindings=(Binding(topology.EVENTS, _EVENTS, "task.#"),))
        await self._broker.declare(every_event)
        await self._broker.consume(_EVENTS, self._hear, credit=100)

    def publish(self, wish: Wish) -> asyncio.Task[None]:
        return self._process.spawn(self._publish(wish))

    async def _publish(self, wish: Wish) -> None:
        await asyncio.sleep(wish.at)
        key = wish.key or ""
        self._kinds[key] = wish.kind
        message = Message(
            exchange=topology.SUBMIT,
            routing_key=wish.kind,
            body=codec.dumps(wish.body["input"]),
            content_type="application/json",
            message_id=key,
            reply_to=_REPLIES,
            correlation_id=key,
            priority=3,
        )
        for again in [False, True] if wish.twice else [False]:
            await self._insist(message)
            self.confirmed[key] += not again

    async def _insist(self, message: Message) -> None:
        while True:
            try:
                return await self._broker.publish([message])
            except BrokerUnavailable:
                await asyncio.sleep(0.5)

    def _hear(self, delivery: Delivery) -> None:
        delivery.ack()
        event = codec.loads(delivery.body)["data"]
        self.heard.add((event["task_id"], event["seq"]))

    def _answered(self, delivery: Delivery) -> None:
        delivery.ack()
        event = codec.loads(delivery.body)
        if event["type"] != "dev.backhaul.task.accepted":
            return
        task, key, witness = event["data"], delivery.correlation_id or "", self._ground.witness
        if (known := self._made.setdefault(key, task["id"])) != task["id"]:
            witness.broken.append(f"the submission {key} was answered with two tasks, {known} and {task['id']}")
        if key in self.answered:
            return  # a message that comes twice is answered twice
        self.answered.add(key)
        witness.see(
            Submitted(
                client="publisher",
                kind=self._kinds[key],
                at=witness.now(),
                answer=Answer.ACCEPTED,
                key=key,
                task_id=task["id"],
                status=Status(task["status"]),
                seq=task["seq"],
            )
        )
