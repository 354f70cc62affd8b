"""Keeping what cannot be handled: unchanged, with the reason, where it is listed and can be replayed."""

from datetime import datetime

from backhaul.core.ports.broker import Broker, Delivery, HeaderValue, Message
from backhaul_contracts.wire import format_time

_DETAIL_LIMIT = 1_000


async def dead_letter(broker: Broker, queue: str, delivery: Delivery, reason: str, detail: str, now: datetime) -> None:
    """Publish `delivery` to `queue` as it came, with `bh-` headers that say why. Raises `BrokerUnavailable`."""
    kept = {name: value for name, value in delivery.headers.items() if isinstance(value, str | int | float | bool)}
    headers: dict[str, HeaderValue] = {
        **kept,
        "bh-reason": reason,
        "bh-detail": detail[:_DETAIL_LIMIT],
        "bh-exchange": delivery.exchange,
        "bh-routing-key": delivery.routing_key,
        "bh-time": format_time(now),
    }
    await broker.publish(
        [
            Message(
                exchange="",
                routing_key=queue,
                body=delivery.body,
                content_type=delivery.content_type or "",
                message_id=delivery.message_id,
                correlation_id=delivery.correlation_id,
                reply_to=delivery.reply_to,
                priority=delivery.priority,
                headers=headers,
            )
        ]
    )
