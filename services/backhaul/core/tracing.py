"""Traces: what happens to a task, in whichever process, as spans of one trace (W3C Trace Context, level 1).

A trace travels as `traceparent`: with the request or message that submits a task, then with the task, to every attempt
at it, to the tasks that an attempt submits, and to webhooks. Without a tracer it is passed on as it came.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self

Attributes = Mapping[str, str | int]
"""What a span tells beside its name. Never a payload."""

FACTS: ContextVar[Mapping[str, str | int]] = ContextVar("facts", default={})  # noqa: B039 - it is never changed
"""What stands in every line that is logged from here on: `trace_id`, `task_id` and the like."""


class Side(StrEnum):
    """Which end of a conversation a span is (OpenTelemetry's span kind)."""

    SERVER = "server"
    CLIENT = "client"
    CONSUMER = "consumer"


class Span(Protocol):
    """A part of a trace that goes on."""

    @property
    def traceparent(self) -> str | None:
        """What makes others parts of it; None: there is no trace."""
        ...

    def fail(self, reason: str) -> None:
        """It has not gone well. `reason` is a word of the platform, never a text of a handler."""
        ...


class Tracer(Protocol):
    """Makes spans. `parent` is a `traceparent`; without one a new trace begins."""

    def span(
        self, name: str, side: Side, parent: str | None, attributes: Attributes | None = None
    ) -> AbstractContextManager[Span]:
        """A span for as long as the block lasts."""
        ...

    def tell(
        self, name: str, parent: str | None, since: datetime, until: datetime, attributes: Attributes | None = None
    ) -> None:
        """A span that is over."""
        ...


class _Passed:
    """Stands for a span where nobody traces."""

    __slots__ = ("traceparent",)

    def __init__(self, traceparent: str | None) -> None:
        self.traceparent = traceparent

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def fail(self, reason: str) -> None:
        pass


class Untraced:
    """Makes no spans, and passes on what came."""

    def span(self, name: str, side: Side, parent: str | None, attributes: Attributes | None = None) -> _Passed:
        return _Passed(parent)

    def tell(
        self, name: str, parent: str | None, since: datetime, until: datetime, attributes: Attributes | None = None
    ) -> None:
        pass


UNTRACED = Untraced()


def trace_id(traceparent: str | None) -> str | None:
    """The trace that it is of."""
    return None if traceparent is None else traceparent.split("-", 2)[1]


def facts(traceparent: str | None = None, **known: str | int) -> AbstractContextManager[None]:
    """Have every line that is logged inside the block tell these, and the trace."""
    trace = trace_id(traceparent)
    if trace is not None:
        known["trace_id"] = trace
    return _told(known) if known else _NOTHING_NEW


@contextmanager
def _told(known: Mapping[str, str | int]) -> Iterator[None]:
    reset = FACTS.set({**FACTS.get(), **known})
    try:
        yield
    finally:
        FACTS.reset(reset)


_NOTHING_NEW = nullcontext()
