"""The schedule: what follows from a try. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from backhaul.core.ports.webhooks import DeliveryState, Mail, Postmark
from backhaul.core.task.record import RawJson
from backhaul.notifier.post import Answer
from backhaul_contracts.webhooks import TEST_EVENT

_GONE = 410
_JITTER = 0.1
_LONGEST_WISH = timedelta(hours=24)
"""A receiver may ask for a longer pause than the schedule has, but not for longer than this."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """`delays` stand before each try, the first before the first. `draw` is chance, in [0, 1)."""

    delays: Sequence[timedelta]
    draw: Callable[[], float]

    def postmark(self, mail: Mail, answer: Answer, attempt: RawJson) -> Postmark:
        """What becomes of a delivery after a try: it has arrived, is tried again, or is given up."""
        tried = mail.tried + 1
        if answer.status is not None and 200 <= answer.status < 300:
            return Postmark(mail.id, mail.claim, DeliveryState.DELIVERED, tried, attempt)
        gone = answer.status == _GONE
        if gone or mail.event == TEST_EVENT or tried >= len(self.delays):
            return Postmark(mail.id, mail.claim, DeliveryState.FAILED, tried, attempt, gone=gone)
        wait = self.delays[tried] * (1 + _JITTER * (2 * self.draw() - 1))
        wish = min(answer.retry_after or timedelta(0), _LONGEST_WISH)
        return Postmark(mail.id, mail.claim, DeliveryState.PENDING, tried, attempt, next_in=max(wait, wish))

    def early(self, mail: Mail, age: timedelta) -> Postmark | None:
        """For a mail that the schedule lets wait before its first try: when it is due; None if it is due now."""
        left = self.delays[0] - age
        if mail.tried or mail.event == TEST_EVENT or left <= timedelta(0):
            return None
        return postponed(mail, left)


def postponed(mail: Mail, wait: timedelta) -> Postmark:
    """The mail was not tried, and is due after `wait`."""
    return Postmark(mail.id, mail.claim, DeliveryState.PENDING, mail.tried, next_in=wait)
