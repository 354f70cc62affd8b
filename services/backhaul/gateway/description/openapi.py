"""The OpenAPI 3.1 document: the calls, the contracts, and every announced kind with its own types."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.types import ASGIApp

from backhaul.core.messages.asyncapi import asyncapi
from backhaul.gateway.api.routes import SECURITY_SCHEME, Model, Route
from backhaul.gateway.description.page import Page, page
from backhaul.gateway.description.typed_kinds import REFERENCE, Document, with_kinds, with_messages
from backhaul.gateway.gateway import Gateway
from backhaul.gateway.http.replies import Reply, header
from backhaul.gateway.http.request import Request
from backhaul.gateway.patience import answered
from backhaul_contracts import codec
from backhaul_contracts.kinds import KindSpec
from backhaul_contracts.submissions import CancelTask, ReplayTask, SubmitBatch, SubmitTask
from backhaul_contracts.webhooks import ChangedWebhookEndpoint, NewWebhookEndpoint, RotatedWebhookSecret

_READ: frozenset[Model] = frozenset(
    {SubmitTask, SubmitBatch, CancelTask, ReplayTask, NewWebhookEndpoint, ChangedWebhookEndpoint, RotatedWebhookSecret}
)
_API_KEY = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "bh_…",
    "description": "Made by `backhaul keys create`. On loopback none is needed until the first one is made.",
}


@dataclass(frozen=True, slots=True)
class _Described:
    """What is served, and the kinds for which it holds."""

    specs: list[KindSpec]
    openapi: bytes
    asyncapi: bytes
    page: Page


class Description:
    """The endpoints that describe the API: `/openapi.json` and `/asyncapi.json` for programs, `/docs` for people.

    All are written anew only when the kinds have changed.
    """

    def __init__(self, gateway: Gateway, bare: Document) -> None:
        self._gateway = gateway
        self._bare = bare
        self._described: _Described | None = None

    async def openapi(self, request: Request) -> ASGIApp:
        return Reply(200, (await self._current()).openapi)

    async def asyncapi(self, request: Request) -> ASGIApp:
        return Reply(200, (await self._current()).asyncapi)

    async def docs(self, request: Request) -> ASGIApp:
        return shown((await self._current()).page)

    async def _current(self) -> _Described:
        specs = await answered(self._gateway.catalogue.kinds())
        if self._described is None or self._described.specs != specs:
            document = with_kinds(self._bare, specs)
            channels = codec.dumps(with_messages(asyncapi(), specs))
            self._described = _Described(specs, codec.dumps(document), channels, page(document, specs))
        return self._described


def shown(page: Page, status: int = 200) -> Reply:
    """A page as an answer. It is no cache's business: what is at its address depends on who asks."""
    headers = [header(b"content-security-policy", page.policy), header(b"cache-control", "no-store")]
    return Reply(status, page.text, headers, media_type=b"text/html; charset=utf-8")


def document(app: FastAPI, routes: Sequence[Route]) -> Document:
    """The part of the document that is the same everywhere."""
    written = get_openapi(title=app.title, version=app.version, description=app.description, routes=routes)
    components = written.setdefault("components", {})
    components["securitySchemes"] = {SECURITY_SCHEME: _API_KEY}
    components.setdefault("schemas", {}).update(
        _schemas({model for route in routes for model in route.operation.models()})
    )
    return written


def _schemas(models: set[Model]) -> Document:
    modes = [(model, "validation" if model in _READ else "serialization") for model in models]
    ordered = sorted(modes, key=lambda item: item[0].__name__)
    _, found = models_json_schema(ordered, ref_template=REFERENCE + "{model}")  # type: ignore[arg-type]
    definitions: Document = found.get("$defs", {})
    return definitions
