"""Errors as answers: RFC 9457 `application/problem+json`, and nothing of what went on inside."""

import logging
import secrets
from collections.abc import Awaitable, Iterable, Mapping
from contextlib import suppress
from http import HTTPStatus
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backhaul.core.errors import BrokerUnavailable, Rejected, StoreUnavailable
from backhaul.core.task.acceptance import trace_id, valid_traceparent
from backhaul.gateway.access.limits import TooMany
from backhaul.gateway.http.replies import Header, Reply, retry_after
from backhaul.gateway.http.request import Unread
from backhaul.gateway.metrics import Requests
from backhaul_contracts import codec
from backhaul_contracts.problems import PROBLEM_JSON, Problem, ProblemCode
from backhaul_contracts.wire import Json

_log = logging.getLogger("backhaul.gateway")

_MEDIA_TYPE = PROBLEM_JSON.encode()
_FAULT = 1011

OPERATION = "backhaul.operation"
"""Where a scope says which call it has come to."""
_CHALLENGE: Header = (b"www-authenticate", b'Bearer realm="backhaul"')
_CLOSE: Header = (b"connection", b"close")


def problem_json(problem: Problem, extensions: Mapping[str, Json] | None = None) -> bytes:
    """The problem object, with further members (RFC 9457 §3.2) behind its own."""
    return codec.dumps(problem.model_dump(mode="json") | dict(extensions or {}))


def problem_reply(
    refusal: Rejected, headers: Iterable[Header] = (), extensions: Mapping[str, Json] | None = None
) -> Reply:
    """The answer that says why a request is refused."""
    body = problem_json(refusal.problem, extensions)
    return Reply(refusal.problem.status, body, headers, media_type=_MEDIA_TYPE)


def known_fault(error: Rejected | StoreUnavailable | BrokerUnavailable) -> Reply:
    """The answer to an error that was foreseen."""
    if isinstance(error, StoreUnavailable):
        _log.debug("a request is answered 503: %s", error)
        return unavailable(
            "The database does not answer at the moment: try again. What was asked for may have been done even so; "
            "with an Idempotency-Key a submit can be repeated safely."
        )
    if isinstance(error, BrokerUnavailable):
        _log.warning("a request is answered 503: %s", error)
        return unavailable("The broker does not answer at the moment, or is asked by too many: try again.")
    if isinstance(error, Unread):
        return problem_reply(error, [_CLOSE])
    if isinstance(error, TooMany):
        return problem_reply(error, error.headers)
    if error.code is ProblemCode.UNAUTHENTICATED:
        return problem_reply(error, [_CHALLENGE])
    return problem_reply(error)


def unavailable(detail: str) -> Reply:
    return problem_reply(Rejected(ProblemCode.UNAVAILABLE, detail), [retry_after(1)])


def traceparent_of(scope: Scope) -> str | None:
    """The caller's trace context (W3C Trace Context, level 1), if it is one."""
    for name, value in scope["headers"]:
        if name == b"traceparent":
            return valid_traceparent(value.decode("latin-1"))
    return None


class Faults:
    """The outermost of our middlewares: what nobody foresaw becomes a 500 that tells a trace id, and a log line.

    It also notes in `requests` how each request is answered.

    After the answer has begun nothing more can be said; the server then closes the connection (a WebSocket with 1011).
    """

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False
        began = perf_counter()

        def watched(message: Message) -> Awaitable[None]:
            nonlocal started
            if not started:
                started = True
                self._note(scope, message, began)
            return send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            if scope["type"] not in ("http", "websocket"):
                raise
            trace = _trace_id(scope)
            _log.exception("%s %s failed, trace_id %s", scope.get("method", "WS"), scope["path"], trace)
            if not started:
                await _internal(trace)(scope, receive, watched)
            elif scope["type"] == "websocket":
                with suppress(OSError, RuntimeError):  # it may be closed already
                    await send({"type": "websocket.close", "code": _FAULT, "reason": f"trace_id {trace}"})

    def _note(self, scope: Scope, first: Message, began: float) -> None:
        """The first message of an answer; that a WebSocket is accepted has no status of its own."""
        status = first.get("status", HTTPStatus.SWITCHING_PROTOCOLS)
        self._requests.note(scope.get(OPERATION, "none"), status, perf_counter() - began)


def _internal(trace: str) -> Reply:
    refusal = Rejected(ProblemCode.INTERNAL, "The log of the gateway has more under this trace_id.")
    problem = refusal.problem.model_copy(update={"trace_id": trace})
    return Reply(500, problem_json(problem), media_type=_MEDIA_TYPE)


def _trace_id(scope: Scope) -> str:
    traceparent = traceparent_of(scope)
    return secrets.token_hex(16) if traceparent is None else trace_id(traceparent)
