"""Deliveries as lists show them."""

from backhaul.core.ports.webhooks import Delivery
from backhaul_contracts import codec
from backhaul_contracts.webhooks import WebhookDelivery

PREFIX = "whd"


def delivery_json(delivery: Delivery) -> str:
    """A delivery as clients see it."""
    view = WebhookDelivery.model_validate(
        {
            "id": delivery.id,
            "event": delivery.event,
            "task_id": delivery.task_id,
            "endpoint_id": delivery.endpoint_id,
            "url": delivery.url,
            "attempts": codec.loads(delivery.tries),
            "state": delivery.state,
            "next_at": delivery.next_at,
            "created_at": delivery.created_at,
        }
    )
    return view.model_dump_json()
