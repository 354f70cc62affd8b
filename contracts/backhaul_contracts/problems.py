"""Errors as clients see them: RFC 9457 `application/problem+json`."""

from enum import StrEnum

from pydantic import Field

from backhaul_contracts.wire import Wire

PROBLEM_JSON = "application/problem+json"
TYPE_BASE = "https://backhaul.dev/problems/"


class Fault(Wire):
    """One thing wrong with a request; `pointer` is an RFC 6901 JSON pointer into its body."""

    pointer: str
    detail: str


class Problem(Wire):
    type: str
    title: str
    status: int
    code: str
    detail: str | None = None
    errors: list[Fault] = Field(default_factory=list)
    task_id: str | None = None
    trace_id: str | None = None
    retryable: bool = False


class ProblemCode(StrEnum):
    """Every `code` a problem can have; status and title belong to the code."""

    MALFORMED_JSON = "malformed_json"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    UNKNOWN_KIND = "unknown_kind"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NOT_ACCEPTABLE = "not_acceptable"
    NOT_FINISHED = "not_finished"
    NOT_SUCCEEDED = "not_succeeded"
    NOT_RETRYABLE = "not_retryable"
    NOT_REPLAYABLE = "not_replayable"
    ENDPOINT_DISABLED = "endpoint_disabled"
    TOO_MANY_ENDPOINTS = "too_many_endpoints"
    GONE = "gone"
    CURSOR_EXPIRED = "cursor_expired"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    UPGRADE_REQUIRED = "upgrade_required"
    INVALID_INPUT = "invalid_input"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"

    @property
    def status(self) -> int:
        return _STATUS_AND_TITLE[self][0]

    @property
    def headline(self) -> str:
        """The problem's `title`."""
        return _STATUS_AND_TITLE[self][1]


_STATUS_AND_TITLE = {
    ProblemCode.MALFORMED_JSON: (400, "The body is not valid JSON"),
    ProblemCode.UNAUTHENTICATED: (401, "A valid API key is needed"),
    ProblemCode.FORBIDDEN: (403, "This is not allowed"),
    ProblemCode.NOT_FOUND: (404, "There is no such thing"),
    ProblemCode.UNKNOWN_KIND: (404, "No service has announced this kind"),
    ProblemCode.METHOD_NOT_ALLOWED: (405, "The method is not allowed here"),
    ProblemCode.NOT_ACCEPTABLE: (406, "No representation fits the Accept header"),
    ProblemCode.NOT_FINISHED: (409, "The task is not finished"),
    ProblemCode.NOT_SUCCEEDED: (409, "The task did not succeed"),
    ProblemCode.NOT_RETRYABLE: (409, "The task cannot be retried"),
    ProblemCode.NOT_REPLAYABLE: (409, "The dead letter cannot be replayed now"),
    ProblemCode.ENDPOINT_DISABLED: (409, "The webhook endpoint is disabled"),
    ProblemCode.TOO_MANY_ENDPOINTS: (409, "There are as many webhook endpoints as there may be"),
    ProblemCode.GONE: (410, "The task is no longer kept"),
    ProblemCode.CURSOR_EXPIRED: (410, "The events behind this cursor are no longer kept"),
    ProblemCode.PAYLOAD_TOO_LARGE: (413, "The body is too large"),
    ProblemCode.UNSUPPORTED_MEDIA_TYPE: (415, "The media type is not supported"),
    ProblemCode.INVALID_INPUT: (422, "The input is not valid"),
    ProblemCode.UPGRADE_REQUIRED: (426, "This is a WebSocket"),
    ProblemCode.IDEMPOTENCY_KEY_REUSED: (422, "The idempotency key belongs to another submission"),
    ProblemCode.RATE_LIMITED: (429, "Too many requests"),
    ProblemCode.UNAVAILABLE: (503, "The service is not available at the moment"),
    ProblemCode.INTERNAL: (500, "Something unforeseen happened"),
}
