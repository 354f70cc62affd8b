"""What can be read off a dead letter."""

from datetime import UTC, datetime

from backhaul.broker.memory.consumer import Taken
from backhaul.broker.memory.delivery import MemoryDelivery, Stored
from backhaul.broker.memory.hub import Hub
from backhaul.core.messages import topology
from backhaul.core.messages.deadletters import origin
from backhaul.core.ports.broker import Message

QUEUE = "backhaul.on.index.hear"


def test_an_event_that_killed_its_workers_goes_back_to_their_queue_and_to_no_other_listener() -> None:
    death = {
        "reason": "delivery_limit",
        "queue": QUEUE,
        "exchange": topology.EVENTS,
        "routing-keys": ["task.digest.summarise.succeeded"],
        "time": datetime(2030, 1, 1, tzinfo=UTC),
    }
    message = Message(exchange="", routing_key=topology.DEAD, body=b"{}", content_type="application/json")
    stored = Stored(message, {"x-death": [death]}, None)

    told = origin(topology.DEAD, MemoryDelivery(stored, Taken(Hub(), topology.DEAD), 0))

    assert (told.reason, told.exchange, told.routing_key) == ("delivery_limit", "", QUEUE)
    assert "too often" in told.detail
