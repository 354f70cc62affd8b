"""The headers that answers about a task carry."""

from datetime import datetime, timedelta

from backhaul.core.rendering import task_path
from backhaul.core.task.record import Record
from backhaul.gateway.http.conditions import entity_tag
from backhaul.gateway.http.replies import Header, header, retry_after

_ASK_SOONEST, _ASK_LATEST = 1, 10
_PATIENCE_GROWS = timedelta(seconds=5)

REPLAYED = header(b"idempotency-replayed", "true")


def accepted(record: Record, now: datetime) -> list[Header]:
    """Where a task that was just accepted is found, and when to look."""
    path = task_path(record.id)
    return [
        header(b"location", path),
        header(b"link", f'<{path}/events>; rel="events"'),
        header(b"etag", entity_tag(record.seq)),
        *ask_again(record, now),
    ]


def ask_again(record: Record, now: datetime) -> list[Header]:
    """`Retry-After` while the task is not done: 1 to 10 s, the longer the older the task is."""
    if record.status.done:
        return []
    waited = (now - record.created_at) // _PATIENCE_GROWS
    return [retry_after(max(_ASK_SOONEST, min(_ASK_LATEST, waited)))]


def applied_wait(length: timedelta | None) -> list[Header]:
    """`Preference-Applied` (RFC 7240 §3) for a wait that was kept."""
    return [] if length is None else [header(b"preference-applied", f"wait={int(length.total_seconds())}")]
