"""Replies: where a direct publisher wants to hear of the end of its task. Kept with the task as JSON."""

from collections.abc import Iterator
from dataclasses import dataclass

from backhaul.core.task.record import RawJson
from backhaul_contracts import codec

MOST = 20
"""A publisher that repeats itself under ever new correlation ids must not make the record grow for ever."""


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """A queue, and what its owner knows the task by."""

    queue: str
    correlation_id: str | None = None


def noted(replies: RawJson | None, reply: ReplyTo) -> RawJson:
    """`replies` with one more, once; of too many the oldest are left out."""
    known = list(read(replies))
    if replies is not None and reply in known:
        return replies
    return _written([*known, reply][-MOST:])


def read(replies: RawJson | None) -> Iterator[ReplyTo]:
    """The replies that are wanted, the oldest first."""
    for queue, correlation_id in () if replies is None else codec.loads(replies):
        yield ReplyTo(queue, correlation_id)


def _written(replies: list[ReplyTo]) -> RawJson:
    return RawJson(codec.dumps([[reply.queue, reply.correlation_id] for reply in replies]).decode())
