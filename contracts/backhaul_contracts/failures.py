"""Failure as data: why an attempt, and in the end a task, did not succeed."""

from enum import StrEnum

from backhaul_contracts.wire import Wire


class FailureCode(StrEnum):
    """The codes the platform itself gives; `Fail(code, …)` in a handler may add others."""

    HANDLER_ERROR = "handler_error"
    TIMED_OUT = "timed_out"
    LOST = "lost"
    REJECTED_INPUT = "rejected_input"
    DEAD_LETTERED = "dead_lettered"
    EXPIRED = "expired"
    RETRY_REQUESTED = "retry_requested"


class Failure(Wire):
    """The `error` of a task. It never holds a stack trace: that stays in the worker's log, under `trace_id`."""

    code: str
    title: str
    detail: str | None = None
    retryable: bool = False
    attempt: int = 0
    trace_id: str | None = None
