"""Words for people: events, lengths of time, ages and sizes."""

from datetime import UTC, datetime, timedelta
from typing import Any

from backhaul_contracts.events import GAP, Event, EventType
from backhaul_contracts.listings import KindInfo, RefusedAnnouncement
from backhaul_contracts.tasks import Progress, Status

STYLES = {
    Status.SUCCEEDED: "green",
    Status.FAILED: "red",
    Status.CANCELLED: "yellow",
    Status.EXPIRED: "yellow",
    Status.RETRYING: "magenta",
    Status.CANCELLING: "magenta",
    Status.RUNNING: "cyan",
}
"""The colours of a status; the others have none."""

_PLAIN: dict[str, str] = {
    EventType.QUEUED: "queued",
    EventType.WAITING: "waiting for a task of its own",
    EventType.CANCELLING: "cancelling",
    GAP: "earlier events are no longer kept",
}

_UNITS = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


def sentence(event: Event) -> str | None:
    """What has happened, or None for what is shown in another way (progress and output) or goes without saying."""
    data = event.data
    if event.type in _PLAIN:
        return _PLAIN[event.type]
    match event.type:
        case EventType.SCHEDULED:
            return f"scheduled for {_clock(data.get('scheduled_for'))}"
        case EventType.STARTED:
            return f"started, attempt {event.attempt}"
        case EventType.RETRYING:
            return f"attempt {event.attempt} {_why(data)}, the next {_next_attempt(event)}"
        case EventType.LOG:
            return f"{data.get('level', 'info')}: {data.get('message', '')}"
    return None


def progress(progress: Progress) -> str:
    """`40/100 embedding`."""
    count = f"{progress.done:g}" if progress.total is None else f"{progress.done:g}/{progress.total:g}"
    return f"{count} {progress.note}" if progress.note else count


def length(span: timedelta) -> str:
    """`8 ms`, `3.2 s`, `4 min 5 s`, `2 h 7 min`, `3 d 4 h`."""
    seconds = max(span.total_seconds(), 0.0)
    if seconds < 0.9995:
        return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for large, name, small, rest_name in _UNITS:
        if whole >= large:
            rest = whole % large // small
            return f"{whole // large} {name}" + (f" {rest} {rest_name}" if rest else "")
    return f"{whole} s"


def age(moment: datetime) -> str:
    """How long ago it was, roughly."""
    seconds = round((datetime.now(UTC) - moment).total_seconds())
    for large, name, _, _ in _UNITS:
        if seconds >= large:
            return f"{seconds // large} {name} ago"
    return f"{max(seconds, 0)} s ago"


def size(count: int) -> str:
    """`950 bytes`, `12.3 kB`, `4.5 MB`."""
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


def _why(data: dict[str, Any]) -> str:
    error = data.get("error")
    if not error:
        return "was handed back"
    detail = f": {error['detail']}" if error.get("detail") else ""
    return f"failed ({error.get('title')}{detail})"


def _next_attempt(event: Event) -> str:
    at = event.data.get("retry_at")
    wait = datetime.fromisoformat(at) - event.time if at else timedelta(0)
    return f"in {length(wait)}" if wait > timedelta(0) else "at once"


def _clock(moment: str | None) -> str:
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else "later"


def refusal(kind: KindInfo, refused: RefusedAnnouncement) -> str:
    """That workers which announce a kind are turned away, and what to do."""
    return (
        f"{kind.kind}: service {kind.service} {refused.service_version} was refused {age(refused.at)}, since it breaks "
        f"version {refused.version} ({refused.reason}): give the kind a new version"
    )
