"""An example for a JSON Schema: something to begin with, for whoever tries a kind."""

from collections.abc import Mapping
from typing import Any

import jsonschema_rs

from backhaul.core.schema.catalogue import validator_of
from backhaul_contracts.wire import Json

_DEEPEST = 8
_BY_TYPE: Mapping[str, Json] = {"string": "…", "integer": 1, "number": 1.0, "boolean": True, "null": None}
_BY_FORMAT: Mapping[str, str] = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T08:00:00Z",
    "duration": "PT1M",
    "email": "ada@example.org",
    "time": "08:00:00Z",
    "uri": "https://example.org/",
    "uuid": "01890a5d-ac96-774b-bcce-b302099a8057",
}


def example(schema: Mapping[str, Any]) -> Json | None:
    """A value that is valid by `schema`: what it gives as its own example, or the least that fits. None: not found."""
    for candidate in (*schema.get("examples", ()), _made(schema, schema, 0)):
        if _fits(schema, candidate):
            return candidate
    return None


def _fits(schema: Mapping[str, Any], value: Json) -> bool:
    try:
        return validator_of(schema).is_valid(value)
    except (ValueError, jsonschema_rs.ValidationError):
        return False


def _made(schema: Any, root: Mapping[str, Any], depth: int) -> Json:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return None
    if "$ref" in schema:
        return _made({**_resolved(schema["$ref"], root), **_without_reference(schema)}, root, depth + 1)
    given = _given(schema)
    if given:
        return given[0]
    for combined in ("anyOf", "oneOf", "allOf"):
        if schema.get(combined):
            return _made(schema[combined][0], root, depth + 1)
    return _of_type(schema, root, depth)


def _given(schema: Mapping[str, Any]) -> list[Json]:
    """The values that the schema itself names, the best first."""
    named = [schema[name] for name in ("default", "const") if name in schema]
    return [*schema.get("examples", ()), *named, *schema.get("enum", ())]


def _of_type(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Json:
    types = schema.get("type", "object" if "properties" in schema else "null")
    match types if isinstance(types, str) else types[0]:
        case "object":
            wanted = schema.get("required", ())
            properties = schema.get("properties", {})
            return {name: _made(properties.get(name), root, depth + 1) for name in wanted}
        case "array":
            first = [_made(item, root, depth + 1) for item in schema.get("prefixItems", ())]
            more = max(schema.get("minItems", 0), 0 if first else 1) - len(first)
            return first + [_made(schema.get("items"), root, depth + 1)] * min(max(more, 0), 10)
        case "string":
            text = _BY_FORMAT.get(schema.get("format", ""), "…")
            return text.ljust(min(schema.get("minLength", 0), 1000), "…")
        case "integer" | "number":
            return _number(schema)
        case name:
            return _BY_TYPE.get(name)


def _number(schema: Mapping[str, Any]) -> Json:
    """The least that is allowed, if there is one."""
    step = schema.get("multipleOf", 1)
    if "minimum" in schema:
        return schema["minimum"]
    if "exclusiveMinimum" in schema:
        return schema["exclusiveMinimum"] + step
    return min(step, schema.get("maximum", step))


def _resolved(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference into the same document leads to; nothing, for any other."""
    place: Any = root
    for step in reference.removeprefix("#").split("/")[1:] if reference.startswith("#") else ["nowhere"]:
        name = step.replace("~1", "/").replace("~0", "~")
        place = place.get(name) if isinstance(place, Mapping) else None
    return place if isinstance(place, Mapping) else {}


def _without_reference(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in schema.items() if name != "$ref"}
