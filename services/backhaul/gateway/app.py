"""The application: routes and middlewares around one gateway."""

from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response
from starlette.routing import Match

from backhaul.core.apikeys import Scope
from backhaul.core.errors import Rejected
from backhaul.gateway.access.guards import LoopbackGuard, is_loopback
from backhaul.gateway.api.calls import routes
from backhaul.gateway.api.direct import DirectApp
from backhaul.gateway.api.routes import HTML, JSON, Operation, Route
from backhaul.gateway.api.websocket import PATH, WebSocket, upgrade_required
from backhaul.gateway.description.openapi import Description, document, shown
from backhaul.gateway.description.page import door
from backhaul.gateway.description.typed_kinds import Document
from backhaul.gateway.gateway import Gateway
from backhaul.gateway.http.problems import Faults, problem_reply
from backhaul.gateway.http.replies import header
from backhaul_contracts.problems import ProblemCode

_OPENAPI = Operation(
    scope=Scope.READ, tag="description", summary="This description", answers={200: ("OpenAPI 3.1.", {JSON: None})}
)
_ASYNCAPI = Operation(
    scope=Scope.READ, tag="description", summary="What RabbitMQ carries", answers={200: ("AsyncAPI 3.0.", {JSON: None})}
)
_DOCS = Operation(
    scope=Scope.READ,
    tag="description",
    summary="The same for people",
    answers={200: ("A page.", {HTML: None})},
    door=shown(door("Backhaul"), 401),
)
_PLAIN = Operation(scope=None, tag="tasks", summary="What a WebSocket is asked for without being asked for")


_CORS: dict[str, Any] = {
    "allow_methods": ["GET", "POST", "PATCH", "DELETE"],
    "allow_headers": [
        "Accept",
        "Authorization",
        "Content-Type",
        "Idempotency-Key",
        "If-None-Match",
        "Last-Event-ID",
        "Prefer",
        "traceparent",
    ],
    "expose_headers": [
        "ETag",
        "Idempotency-Replayed",
        "Link",
        "Location",
        "Preference-Applied",
        "RateLimit",
        "RateLimit-Policy",
        "Retry-After",
    ],
}


def create_app(gateway: Gateway) -> FastAPI:
    """The HTTP API of `gateway`, whose store, broker and `run` are started by whoever serves the application."""
    app = DirectApp(
        title="Backhaul",
        version="1",
        description="Turns long work into a fast HTTP API.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
        exception_handlers={HTTPException: _no_such_call},
    )
    calls = routes(gateway)
    written = document(app, calls)
    app.openapi = lambda: written  # type: ignore[method-assign]
    calls += _descriptions(gateway, written)
    calls.append(Route("GET", PATH, upgrade_required, _PLAIN, gateway))
    for call in calls:
        call.answer_head_too()
    app.router.routes += calls
    gateway.requests.expect(call.name for call in calls)
    app.sockets = WebSocket(gateway)
    origins = gateway.settings.cors_origins
    if origins:
        app.add_middleware(CORSMiddleware, allow_origins=origins, **_CORS)
    if is_loopback(gateway.settings.host):
        app.add_middleware(LoopbackGuard, origins=origins)
    app.add_middleware(Faults, requests=gateway.requests)
    return app


def _descriptions(gateway: Gateway, written: Document) -> list[Route]:
    description = Description(gateway, written)
    return [
        Route("GET", path, endpoint, operation, gateway)
        for path, endpoint, operation in (
            ("/openapi.json", description.openapi, _OPENAPI),
            ("/asyncapi.json", description.asyncapi, _ASYNCAPI),
            ("/docs", description.docs, _DOCS),
        )
    ]


async def _no_such_call(request: StarletteRequest, error: Exception) -> Response:
    """What routing could not place: 404, or 405 with every method that the path knows."""
    methods = _methods(request)
    if methods:
        detail = f"{request.method} is not possible at {request.url.path}: it knows {', '.join(methods)}."
        refusal, headers = Rejected(ProblemCode.METHOD_NOT_ALLOWED, detail), [header(b"allow", ", ".join(methods))]
    else:
        refusal, headers = Rejected(ProblemCode.NOT_FOUND, f"There is nothing at {request.url.path}."), []
    reply = problem_reply(refusal, headers)
    response = Response(reply.body, reply.status)
    response.raw_headers = reply.headers
    return response


def _methods(request: StarletteRequest) -> list[str]:
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    fitting = (route for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for route in fitting for method in route.methods or ()})
