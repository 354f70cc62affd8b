"""The OpenAPI 3.1 document: the calls, the contracts, and every announced kind with its own types."""

from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.types import ASGIApp

from backhaul.gateway.gateway import Gateway
from backhaul.gateway.page import page
from backhaul.gateway.patience import answered
from backhaul.gateway.replies import Reply
from backhaul.gateway.request import Request
from backhaul.gateway.routes import Model, Route
from backhaul_contracts import codec
from backhaul_contracts.kinds import KindSpec
from backhaul_contracts.submissions import CancelTask, ReplayTask, SubmitBatch, SubmitTask

_READ: frozenset[Model] = frozenset({SubmitTask, SubmitBatch, CancelTask, ReplayTask})
_REF = "#/components/schemas/"

Document = dict[str, Any]


class Description:
    """The endpoints that describe the API: `/openapi.json` for programs, `/docs` for people."""

    def __init__(self, gateway: Gateway, bare: Document) -> None:
        self._gateway = gateway
        self._bare = bare

    async def openapi(self, request: Request) -> ASGIApp:
        return Reply(200, codec.dumps(await self._document()))

    async def docs(self, request: Request) -> ASGIApp:
        text = page(await self._document())
        policy = (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'")
        return Reply(200, text.encode(), [policy], media_type=b"text/html; charset=utf-8")

    async def _document(self) -> Document:
        return with_kinds(self._bare, await answered(self._gateway.catalogue.kinds()))


def document(app: FastAPI, routes: Sequence[Route]) -> Document:
    """The part of the document that is the same everywhere."""
    written = get_openapi(title=app.title, version=app.version, description=app.description, routes=routes)
    components = written.setdefault("components", {}).setdefault("schemas", {})
    components.update(_schemas({model for route in routes for model in route.operation.models()}))
    return written


def with_kinds(bare: Document, specs: Iterable[KindSpec]) -> Document:
    """`bare` with types for each kind: `<kind>.input`, `<kind>.result`, and what to submit it with."""
    schemas: Document = dict(bare["components"]["schemas"])
    submits = []
    for spec in specs:
        schemas[f"{spec.kind}.input"] = _placed(spec.input_schema, f"{_REF}{spec.kind}.input")
        schemas[f"{spec.kind}.result"] = _placed(spec.result_schema, f"{_REF}{spec.kind}.result")
        submits.append(_submit(spec.kind))
    if submits:
        general = schemas["SubmitTask"]
        schemas["SubmitTask"] = {**general, "anyOf": submits}
    return {**bare, "components": {**bare["components"], "schemas": schemas}}


def _submit(kind: str) -> Document:
    return {
        "title": kind,
        "properties": {"kind": {"const": kind}, "input": {"$ref": f"{_REF}{kind}.input"}},
    }


def _schemas(models: set[Model]) -> Document:
    modes = [(model, "validation" if model in _READ else "serialization") for model in models]
    ordered = sorted(modes, key=lambda item: item[0].__name__)
    _, found = models_json_schema(ordered, ref_template=_REF + "{model}")  # type: ignore[arg-type]
    definitions: Document = found.get("$defs", {})
    return definitions


def _placed(schema: Any, place: str) -> Any:
    """`schema` with its references to itself led to where it now stands in the document."""
    if isinstance(schema, list):
        return [_placed(item, place) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: _placed_member(name, value, place) for name, value in schema.items()}


def _placed_member(name: str, value: Any, place: str) -> Any:
    if name == "$ref" and isinstance(value, str) and value.startswith("#"):
        return place + value[1:]
    return value if name in ("const", "default", "enum", "examples") else _placed(value, place)
