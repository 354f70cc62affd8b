"""What a notifier measures: how receivers answer."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from backhaul.core.metrics import Metric, Reading, Shape, alone, by_word
from backhaul.core.ports.webhooks import DeliveryState, Postmark

if TYPE_CHECKING:
    from backhaul.notifier.notifier import Notifier

TRIES = Metric(
    "backhaul_webhook_tries_total",
    Shape.COUNTER,
    "Tries to deliver a webhook by outcome: `delivered`, `to_retry`, `given_up`, `gone` (410: its endpoint is disabled "
    "now).",
    ("outcome",),
)
LENGTH = Metric("backhaul_webhook_try_seconds", Shape.HISTOGRAM, "How long a try took.")
UNDER_WAY = Metric("backhaul_webhook_tries_under_way", Shape.GAUGE, "Deliveries that are being tried.")
OUTCOMES = ("delivered", "to_retry", "given_up", "gone")
METRICS = (TRIES, LENGTH, UNDER_WAY)


def readings(notifier: "Notifier") -> Iterator[Reading]:
    """The numbers of a notifier at this moment."""
    yield Reading(TRIES, by_word(dict.fromkeys(OUTCOMES, 0) | notifier.tries))
    yield alone(LENGTH, notifier.lengths)
    yield alone(UNDER_WAY, notifier.under_way)


def outcome(postmark: Postmark) -> str:
    """What became of a try, in a word."""
    if postmark.gone:
        return "gone"
    return _OUTCOMES[postmark.state]


_OUTCOMES = {DeliveryState.DELIVERED: "delivered", DeliveryState.PENDING: "to_retry", DeliveryState.FAILED: "given_up"}
