"""A JSON Schema taken apart: plain schemas that together take everything which it takes."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any
from urllib.parse import unquote

from backhaul_contracts.wire import Json

Schema = Mapping[str, Any]

ANNOTATIONS = frozenset({
    "$anchor", "$comment", "$defs", "$id", "$schema", "contentEncoding", "contentMediaType", "contentSchema", "default",
    "definitions", "deprecated", "description", "discriminator", "example", "examples", "readOnly", "title",
    "writeOnly",
})  # fmt: skip
"""Keywords that let no value pass or fail."""

_COMBINED = ("$ref", "allOf", "anyOf", "oneOf")
_OBJECT = ("properties", "patternProperties", "additionalProperties")
TOGETHER = (("prefixItems", "items"), ("contains", "minContains", "maxContains"), ("if", "then", "else"))
"""Keywords that mean something else without each other."""
_MOST = 500


class TooComplex(Exception):
    """The schemas are too large, too deep, or refer to something that is not there."""


def resolved(reference: str, root: Json) -> Json:
    """What a reference into `root` leads to. Raises `TooComplex` for one that leads nowhere, or out of it."""
    if reference != "#" and not reference.startswith("#/"):
        raise TooComplex(f"{reference} leads to no schema of its own")
    place = root
    for step in reference.split("/")[1:]:
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        if not isinstance(place, Mapping) or name not in place:
            raise TooComplex(f"{reference} leads nowhere")
        place = place[name]
    return place


def asserting(schema: Schema) -> dict[str, Any]:
    """The keywords that let values fail, without those that combine schemas."""
    return {name: value for name, value in schema.items() if name not in ANNOTATIONS and name not in _COMBINED}


def alternatives(schema: Json, root: Json, depth: int = 0) -> list[dict[str, Any]]:
    """Schemas without references and combinations. What `schema` takes, one of them takes (perhaps they take more).

    Each has at most one type, and `const` for every value of an `enum`. Raises `TooComplex`.
    """
    if isinstance(schema, bool):
        return [{}] if schema else []
    if depth > 30:
        raise TooComplex("it refers to itself without end")
    parts = [[asserting(schema)]]
    if "$ref" in schema:
        parts.append(alternatives(resolved(schema["$ref"], root), root, depth + 1))
    parts += [alternatives(one, root, depth + 1) for one in schema.get("allOf", ())]
    for either in ("anyOf", "oneOf"):
        if either in schema:
            parts.append([alone for one in schema[either] for alone in alternatives(one, root, depth + 1)])
    return _limited([single for parts in _products(parts) for single in _singled(parts)])


def _products(parts: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{}]
    for part in parts:
        found = _limited([_both(one, other) for one, other in product(found, part)])
    return found


def _limited(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(found) > _MOST:
        raise TooComplex(f"it has more than {_MOST} alternatives")
    return found


def _singled(schema: dict[str, Any]) -> list[dict[str, Any]]:
    if "enum" in schema:
        rest = {name: value for name, value in schema.items() if name != "enum"}
        return [{**rest, "const": value} for value in schema["enum"]]
    if isinstance(schema.get("type"), list):
        return [{**schema, "type": name} for name in schema["type"]]
    return [schema]


def _both(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """A schema that takes at least what both take. Of what both say, where it cannot be joined, one is left out."""
    joined = {**one, **other}
    if "required" in one and "required" in other:
        joined["required"] = sorted({*one["required"], *other["required"]})
    for names in TOGETHER:
        if any(name in other for name in names):
            joined = {name: value for name, value in joined.items() if name not in names or name in other}
    return _objects_joined(one, other, joined)


def _objects_joined(one: dict[str, Any], other: dict[str, Any], joined: dict[str, Any]) -> dict[str, Any]:
    if not (any(name in one for name in _OBJECT) and any(name in other for name in _OBJECT)):
        return joined
    rest = {name: value for name, value in joined.items() if name not in _OBJECT}
    if any(name in schema for schema in (one, other) for name in _OBJECT[1:]):
        return {**rest, "additionalProperties": True}
    properties = dict(one["properties"])
    for name, schema in other["properties"].items():
        properties[name] = {"allOf": [properties[name], schema]} if name in properties else schema
    return {**rest, "properties": properties}
