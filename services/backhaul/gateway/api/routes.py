"""Every call of the HTTP API with its endpoint and its description: the table behind both routing and OpenAPI."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import chain
from typing import Any

from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backhaul.core import apikeys
from backhaul.core.errors import BrokerUnavailable, Rejected, StoreUnavailable
from backhaul.core.tracing import Side, facts
from backhaul.gateway.access.identity import Identity
from backhaul.gateway.access.trail import note
from backhaul.gateway.gateway import Gateway
from backhaul.gateway.http.conditions import choose
from backhaul.gateway.http.problems import OPERATION, known_fault, traceparent_of
from backhaul.gateway.http.queries import link_token
from backhaul.gateway.http.replies import Header, Reply
from backhaul.gateway.http.request import Disconnected, Request
from backhaul_contracts.problems import PROBLEM_JSON, Problem, ProblemCode

Endpoint = Callable[[Request], Awaitable[ASGIApp]]
Model = type[BaseModel]

JSON = "application/json"
HTML = "text/html"
SECURITY_SCHEME = "apiKey"
_REFUSED = (401, 403, 422, 429, 503)
"""Any call that takes a key: it may lack one or its scope, have a parameter that is unknown, come too often, or while
the store is down."""
_UNREADABLE = (400, 413, 415, 422)
"""Any call that may have a body."""
_WITH_BODY = ("POST", "PATCH")
_READING = ("GET", "HEAD")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call, described: `answers` maps each status to what it means and, if it has one, its model by media type."""

    tag: str
    summary: str
    description: str = ""
    body: Model | None = None
    body_required: bool = True
    parameters: tuple[Mapping[str, Any], ...] = ()
    answers: Mapping[int, tuple[str, Mapping[str, Model | None]]] = field(default_factory=dict)
    problems: tuple[int, ...] = ()
    """The statuses of refusals, beside those that any call may have."""
    scope: apikeys.Scope | None
    """What a key must have to call it; None: it takes no key."""
    notes_itself: bool = False
    """Whether the endpoint notes in the trail what it has done, since it may wait for long after that."""
    linked: bool = False
    """Whether a link with a token opens it, too."""
    door: Reply | None = None
    """What a browser that shows no key is answered."""

    def openapi(self, method: str) -> dict[str, Any]:
        """The operation object (OpenAPI 3.1 §4.8.10); models are referred to by name."""
        answers = {str(status): _answer(*answer) for status, answer in self.answers.items()}
        of_all = (() if self.scope is None else _REFUSED, _UNREADABLE if method in _WITH_BODY else ())
        refused = sorted({*self.problems, *chain(*of_all)})
        refusals = {str(status): _answer("See `code`.", {PROBLEM_JSON: Problem}) for status in refused}
        operation: dict[str, Any] = {"responses": {**answers, **refusals}}
        operation["security"] = [] if self.scope is None else [{SECURITY_SCHEME: []}]
        if self.parameters:
            operation["parameters"] = [dict(parameter) for parameter in self.parameters]
        if self.body is not None:
            operation["requestBody"] = {"required": self.body_required, "content": {JSON: _schema(self.body)}}
        return operation

    def models(self) -> set[Model]:
        """The models it refers to."""
        answered = {model for _, content in self.answers.values() for model in content.values() if model}
        return answered | ({self.body} if self.body else set()) | {Problem}


class Route(APIRoute):
    """A documented route with a lean endpoint: a `Request` in, an ASGI response out, and nothing in between.

    Errors that were foreseen become problems here, as long as the answer has not begun.
    """

    def __init__(self, method: str, path: str, endpoint: Endpoint, operation: Operation, gateway: Gateway) -> None:
        super().__init__(
            path,
            _undocumented,
            methods=[method],
            name=endpoint.__name__,
            operation_id=endpoint.__name__,
            tags=[operation.tag],
            summary=operation.summary,
            description=operation.description or None,
            status_code=min(operation.answers, default=200),
            response_model=None,
            openapi_extra=operation.openapi(method),
        )
        self.methods = self.answers = {method}
        self.operation = operation
        self._is_deed = method != "GET" and not operation.notes_itself
        self._span = f"{method} {path}"
        self._gateway = gateway
        self._endpoint = endpoint

    def answer_head_too(self) -> None:
        """From now on HEAD is answered as GET is (RFC 9110 §9.3.2). Not before OpenAPI is written: it is no call."""
        if "GET" in self.answers:
            self.answers.add("HEAD")

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in self.answers:
            await super().handle(scope, receive, send)
            return
        scope[OPERATION] = self.name
        try:
            request = Request(scope, receive, self._gateway.settings.max_body)
            if self.operation.scope is not None:
                request.identity = await self._identity(request)
                if told := self._gateway.limits.spend(request.identity):
                    send = _telling(send, told)
                request.identity.need(self.operation.scope)
            answer = await self._answer(request)
            await answer(scope, receive, send)
        except Disconnected:
            return
        except (Rejected, StoreUnavailable, BrokerUnavailable) as error:
            answer = self._at_the_door(error, scope) or known_fault(error)
            await answer(scope, receive, send)

    def _at_the_door(self, error: Exception, scope: Scope) -> Reply | None:
        """What is shown to people in place of a problem."""
        if self.operation.door is None or getattr(error, "code", None) is not ProblemCode.UNAUTHENTICATED:
            return None
        accept = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"accept"), None)
        return self.operation.door if choose(accept, (PROBLEM_JSON, HTML)) == HTML else None

    async def _answer(self, request: Request) -> ASGIApp:
        """What the endpoint answers. A call that may change something is a span of a trace."""
        if request.scope["method"] in _READING:
            return await self._endpoint(request)
        parent = traceparent_of(request.scope)
        with self._gateway.tracer.span(self._span, Side.SERVER, parent) as span, facts(span.traceparent):
            request.traceparent = span.traceparent
            try:
                answer = await self._endpoint(request)
            except Rejected as refusal:
                span.fail(refusal.code)
                raise
            if self._is_deed and isinstance(answer, Reply) and answer.status < HTTPStatus.BAD_REQUEST:
                note(self.name, request.identity, " ".join(request.scope["path_params"].values()) or None)
            return answer

    async def _identity(self, request: Request) -> Identity:
        authorization = request.header(b"authorization")
        if self.operation.linked and authorization is None and (token := link_token(request)) is not None:
            return await self._gateway.access.by_link(request.path("task_id"), token)
        return await self._gateway.access.identify(authorization)


def _telling(send: Send, headers: list[Header]) -> Send:
    """`send`, which adds headers to the answer."""

    def told(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *headers]
        return send(message)

    return told


def query(name: str, description: str, schema: Mapping[str, Any], *, many: bool = False) -> dict[str, Any]:
    """A query parameter."""
    whole = {"type": "array", "items": dict(schema)} if many else dict(schema)
    return {"name": name, "in": "query", "required": False, "description": description, "schema": whole}


def in_path(name: str, description: str) -> dict[str, Any]:
    """A variable part of the path."""
    return {"name": name, "in": "path", "required": True, "description": description, "schema": {"type": "string"}}


def in_header(name: str, description: str) -> dict[str, Any]:
    """A request header."""
    return {"name": name, "in": "header", "required": False, "description": description, "schema": {"type": "string"}}


def _answer(description: str, content: Mapping[str, Model | None]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": description}
    if content:
        answer["content"] = {media_type: _schema(model) for media_type, model in content.items()}
    return answer


def _schema(model: Model | None) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{model.__name__}"} if model else {}}


async def _undocumented() -> None:
    """Stands where FastAPI looks for parameters to inject: a lean endpoint has none."""
