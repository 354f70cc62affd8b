"""I13: whoever asked to be told is told, at least once, by signed webhooks that can be told apart by their ids."""

from collections.abc import Iterator
from datetime import datetime

from tests.proof.case import Case, broken
from tests.proof.observations import LoggedEvent, Subscribed, WebhookCame
from tests.proof.violation import Invariant, Violation

_Event = tuple[str, str, datetime]
"""Task, type and time: what a webhook says of its event."""


def arrived(case: Case) -> Iterator[Violation]:
    """Every event of a task that a receiver has subscribed to was taken by it."""
    taken = {(came.receiver, _told(came)) for came in case.history.of(WebhookCame) if came.taken}
    for wanted in case.history.of(Subscribed):
        for event in _of(case, wanted):
            if (wanted.receiver, _happened(event)) not in taken:
                text = f"{event.type} (seq {event.seq}) never reached {wanted.receiver}"
                yield broken(Invariant.I13, text, event.task_id, (wanted, event))


def _of(case: Case, wanted: Subscribed) -> Iterator[LoggedEvent]:
    """A webhook of a task hears of it from its beginning; an endpoint of what happens once it is there."""
    for event in case.history.of(LoggedEvent):
        its = event.task_id == wanted.task_id if wanted.task_id else event.at > wanted.at + case.terms.skew
        if its and event.type in wanted.events:
            yield event


def genuine(case: Case) -> Iterator[Violation]:
    """What a receiver is told has happened, was asked for, and is signed with the receiver's own secret."""
    asked: dict[str, set[str]] = {}
    for wanted in case.history.of(Subscribed):
        asked.setdefault(wanted.receiver, set()).update(wanted.events)
    logged = {_happened(event) for event in case.history.of(LoggedEvent)}
    for came in case.history.of(WebhookCame):
        if came.receiver not in asked:
            continue  # nobody knows whether what it asked for was accepted
        for fault, fine in (
            ("it is not signed as it should be", came.signed),
            ("nothing of this kind was asked for", came.type in asked[came.receiver]),
            ("it tells of what is not in the log", _told(came) in logged),
        ):
            if not fine:
                yield broken(Invariant.I13, f"{came.delivery}: {fault}", came.task_id, (came,))


def one_identity(case: Case) -> Iterator[Violation]:
    """A repeat is known by its id: one event for one receiver has one id and one body, and nothing else has them."""
    by_id: dict[str, WebhookCame] = {}
    by_event: dict[tuple[str, _Event], WebhookCame] = {}
    for came in case.history.of(WebhookCame):
        first = by_id.setdefault(came.delivery, came)
        other = by_event.setdefault((came.receiver, _told(came)), came)
        if (first.receiver, _told(first), first.body) != (came.receiver, _told(came), came.body):
            yield broken(Invariant.I13, f"{came.delivery} came again as something else", came.task_id, (first, came))
        if other.delivery != came.delivery:
            text = f"{came.type} came to {came.receiver} under two ids"
            yield broken(Invariant.I13, text, came.task_id, (other, came))


def _told(came: WebhookCame) -> _Event:
    return came.task_id, came.type, came.of


def _happened(event: LoggedEvent) -> _Event:
    return event.task_id, event.type, event.at
