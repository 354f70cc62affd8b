"""What a gateway measures: its calls, and those who watch through it."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from backhaul.core.metrics import MOMENTS, Labels, Metric, Reading, Shape, Spreads, alone

if TYPE_CHECKING:
    from backhaul.gateway.gateway import Gateway

REQUESTS = Metric(
    "backhaul_http_requests_total",
    Shape.COUNTER,
    "Answers by `operation` (as OpenAPI names it, `none` if there is no such call) and `status`.",
    ("operation", "status"),
)
ANSWERS = Metric(
    "backhaul_http_answer_seconds",
    Shape.HISTOGRAM,
    "How long until an answer began: of a stream its head, of a call with `Prefer: wait` with the wait.",
    ("operation",),
)
WATCHERS = Metric(
    "backhaul_watchers",
    Shape.GAUGE,
    "Who follows events through this gateway: `sse` and `long_poll` one task each, `websocket` one for each "
    "subscription, `sse_many` the stream of many tasks.",
    ("transport",),
)
SOCKETS = Metric("backhaul_websockets", Shape.GAUGE, "Open WebSockets.")
WATCHED = Metric("backhaul_watched_tasks", Shape.GAUGE, "Tasks that somebody follows through this gateway.")
REPAIRS = Metric(
    "backhaul_feed_repairs_total",
    Shape.COUNTER,
    "How often a watched task was given events out of the store, because they had not come live.",
)
PUSHED = Metric(
    "backhaul_push_seconds",
    Shape.HISTOGRAM,
    "From the end of a watched task until its watchers here were given it, live or out of the store. Each end counts "
    "once, and only if it came after the first of them had read how the task stands. By how much clocks differ is in "
    "it.",
)
METRICS = (REQUESTS, ANSWERS, WATCHERS, SOCKETS, WATCHED, REPAIRS, PUSHED)

OPENMETRICS = "application/openmetrics-text"
_FAULTS = (500, 503)
TRANSPORTS = ("sse", "sse_many", "websocket", "long_poll")

Scrape: TypeAlias = Callable[[str], Awaitable[tuple[bytes, str]]]
"""The metrics of a process as a header `Accept` would have them, and their media type."""


class Requests:
    """Counts answers as they begin."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self.lengths = Spreads(MOMENTS)

    def expect(self, operations: Iterable[str]) -> None:
        """These may be called. That none has failed is told from now on: the first step up from nothing is one that
        `increase` does not see."""
        for operation in (*operations, "none"):
            for status in _FAULTS:
                self.answers[operation, status] += 0

    def note(self, operation: str, status: int, seconds: float) -> None:
        self.answers[operation, status] += 1
        self.lengths[operation,].observe(seconds)


async def nothing_collected(accept: str) -> tuple[bytes, str]:
    """Of a gateway that runs by itself, outside of a process of the platform."""
    return b"", "text/plain"


def readings(gateway: "Gateway") -> Iterator[Reading]:
    """The numbers of a gateway at this moment."""
    answers: dict[Labels, float] = {
        (operation, str(status)): count for (operation, status), count in gateway.requests.answers.items()
    }
    feed = gateway.feed
    watchers = Counter(watcher.transport for topic in feed.topics.values() for watcher in topic.watchers)
    watchers["sse_many"] = len(feed.wide.watchers)
    yield Reading(REQUESTS, answers)
    yield Reading(ANSWERS, dict(gateway.requests.lengths))
    yield Reading(WATCHERS, {(transport,): watchers[transport] for transport in TRANSPORTS})
    yield alone(SOCKETS, len(feed.attendants) - len(feed.wide.watchers))  # the others that attend to no task
    yield alone(WATCHED, len(feed.topics))
    yield alone(REPAIRS, gateway.audit.repairs)
    yield alone(PUSHED, feed.pushed)
