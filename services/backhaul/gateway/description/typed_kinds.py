"""The types of the announced kinds, set into the OpenAPI document."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from backhaul.core.schema.catalogue import validator_of
from backhaul.gateway.description.examples import example
from backhaul_contracts.kinds import KindSpec

REFERENCE = "#/components/schemas/"

Document = dict[str, Any]

_BY_NAME = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")
"""Keywords whose members are schemas by name: a property may be called `const`."""
_VALUES = ("const", "default", "enum", "examples", "example")
_OF_THE_ROOT = ("$schema", "$id", "$defs", "definitions")
_LOCAL = re.compile(r"^#/(?:\$defs|definitions)/([^/]+)(.*)$", re.DOTALL)
_UNFIT = re.compile(r"[^A-Za-z0-9._-]")


def with_kinds(bare: Document, specs: Sequence[KindSpec]) -> Document:
    """`bare` with the types of each kind: `<kind>.input`, `<kind>.result`, and `<kind>.submit` to ask for it with.

    What `POST /v1/tasks` takes is told apart by `kind`, and has an example of each. What those schemas define stands
    beside them, under names that are free.
    """
    if not specs:
        return bare
    schemas: Document = dict(bare["components"]["schemas"])
    for spec in specs:
        schemas[f"{spec.kind}.submit"] = _submit(spec)
        _place(schemas, f"{spec.kind}.input", spec.input_schema)
        _place(schemas, f"{spec.kind}.result", spec.result_schema)
    paths = {**bare["paths"], **_paths(bare["paths"], specs)}
    return {**bare, "paths": paths, "components": {**bare["components"], "schemas": schemas}}


def with_messages(bare: Document, specs: Sequence[KindSpec]) -> Document:
    """The AsyncAPI document `bare` with a message of the plain form for each kind, in the door to submit by."""
    schemas: Document = dict(bare["components"]["schemas"])
    messages = {spec.kind: {**bare["components"]["messages"]["plain"], **_message(spec)} for spec in specs}
    for spec in specs:
        _place(schemas, f"{spec.kind}.input", spec.input_schema)
    components = {"messages": {**bare["components"]["messages"], **messages}, "schemas": schemas}
    offered = {kind: {"$ref": f"#/components/messages/{kind}"} for kind in messages}
    channels = _with(bare["channels"], ("submit", "messages"), offered)
    return {**bare, "channels": channels, "components": components}


def _message(spec: KindSpec) -> Document:
    return {"name": spec.kind, "title": spec.kind, "payload": {"$ref": f"{REFERENCE}{spec.kind}.input"}}


def _submit(spec: KindSpec) -> Document:
    """A submission of this kind. An input that may be null may be left out."""
    optional = validator_of(spec.input_schema).is_valid(None)
    return {
        "title": spec.kind,
        "allOf": [{"$ref": f"{REFERENCE}SubmitTask"}],
        "type": "object",
        "properties": {"kind": {"const": spec.kind}, "input": {"$ref": f"{REFERENCE}{spec.kind}.input"}},
        "required": ["kind"] if optional else ["kind", "input"],
    }


def _paths(paths: Document, specs: Sequence[KindSpec]) -> Document:
    submit, result = paths["/v1/tasks"], paths["/v1/tasks/{task_id}/result"]
    results = {"anyOf": [{"$ref": f"{REFERENCE}{spec.kind}.result"} for spec in specs]}
    return {
        "/v1/tasks": _with(submit, ("post", "requestBody", "content", "application/json"), _submission(specs)),
        "/v1/tasks/{task_id}/result": _with(
            result, ("get", "responses", "200", "content", "application/json"), {"schema": results}
        ),
    }


def _submission(specs: Sequence[KindSpec]) -> Document:
    """The media type of the body of `POST /v1/tasks` (OpenAPI 3.1 §4.8.14, §4.8.25)."""
    places = {spec.kind: f"{REFERENCE}{spec.kind}.submit" for spec in specs}
    choice = {
        "oneOf": [{"$ref": place} for place in places.values()],
        "discriminator": {"propertyName": "kind", "mapping": places},
    }
    return {"schema": choice, "examples": dict(_examples(specs))}


def _examples(specs: Iterable[KindSpec]) -> Iterable[tuple[str, Document]]:
    for spec in specs:
        found = example(spec.input_schema)
        if found is not None:
            yield spec.kind, {"value": {"kind": spec.kind, "input": found}}


def _with(document: Document, steps: Sequence[str], members: Document) -> Document:
    """A copy of `document` with `members` added where `steps` lead; what is beside that way is shared."""
    if not steps:
        return {**document, **members}
    return {**document, steps[0]: _with(document[steps[0]], steps[1:], members)}


def _place(schemas: Document, name: str, schema: Document) -> None:
    """Put `schema` under its name, and what it defines beside it."""
    defined = {key: value for holder in ("definitions", "$defs") for key, value in schema.get(holder, {}).items()}
    schemas[name] = {}
    names: dict[str, str] = {}
    for key in defined:
        names[key] = _free(schemas, f"{name}.{_UNFIT.sub('_', key)}")
        schemas[names[key]] = {}
    move = _Move(name, names)
    schemas[name] = move.schema({key: value for key, value in schema.items() if key not in _OF_THE_ROOT})
    for key, definition in defined.items():
        schemas[names[key]] = move.schema(definition)


def _free(schemas: Document, name: str) -> str:
    taken, number = name, 2
    while taken in schemas:
        taken, number = f"{name}_{number}", number + 1
    return taken


class _Move:
    """Leads the references of a schema to where its parts stand in the document."""

    def __init__(self, root: str, names: dict[str, str]) -> None:
        self._root = root
        self._names = names

    def schema(self, schema: Any) -> Any:
        if isinstance(schema, list):
            return [self.schema(item) for item in schema]
        if not isinstance(schema, dict):
            return schema
        return {name: self._member(name, value) for name, value in schema.items()}

    def _member(self, name: str, value: Any) -> Any:
        if name == "$ref" and isinstance(value, str):
            return self._reference(value)
        if name in _VALUES:
            return value
        if name == "discriminator" and isinstance(value, dict) and isinstance(value.get("mapping"), dict):
            mapping = {key: self._reference(place) for key, place in value["mapping"].items()}
            return {**value, "mapping": mapping}
        if name in _BY_NAME and isinstance(value, dict):
            return {key: self.schema(one) for key, one in value.items()}
        return self.schema(value)

    def _reference(self, place: str) -> str:
        if not place.startswith("#"):
            return place
        local = _LOCAL.match(place)
        name = self._names.get(local[1].replace("~1", "/").replace("~0", "~")) if local else None
        return f"{REFERENCE}{name}{local[2]}" if local and name else f"{REFERENCE}{self._root}{place[1:]}"
