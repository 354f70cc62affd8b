"""Which announcements break a kind. The comparison is sound: what it lets pass, a validator lets pass too."""

from datetime import timedelta
from typing import Annotated, Any, Literal

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from backhaul.core.schema.compatibility import breaks
from backhaul.core.schema.containment import gaps
from backhaul_contracts.kinds import KindSpec, RetryRule

INT, TEXT = {"type": "integer"}, {"type": "string"}


def record(*required: str, closed: bool = False, **fields: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": fields, "required": list(required)}
    return {**schema, "additionalProperties": False} if closed else schema


def kind(input: Any = True, result: Any = True) -> KindSpec:
    return KindSpec(
        kind="a.b",
        service="a",
        service_version="1",
        queue="a",
        timeout=timedelta(1),
        grace=timedelta(1),
        retry=RetryRule(base=timedelta(1), cap=timedelta(1)),
        input_schema=input if isinstance(input, dict) else {},
        result_schema=result if isinstance(result, dict) else {},
    )


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (record("a", a=INT), record("a", a=INT, b=TEXT)),
        (record("a", a=INT), record(a=INT)),
        (record("a", a=INT), record("a", a={"type": "number"})),
        (record("a", a=INT), record("a", a={"anyOf": [{"type": "null"}, INT]})),
        (record("a", a={"enum": ["x"]}), record("a", a={"enum": ["y", "x"]})),
        (record("a", a={"enum": ["x"]}), record("a", a=TEXT)),
        (record(a=INT, b=INT), record(a=INT)),
        (record(a=INT, closed=True), record(a=INT, b=TEXT, closed=True)),
        ({"type": "integer", "minimum": 3}, {"type": "integer", "minimum": 2, "maximum": 9} | {"maximum": 1e9} | {}),
        ({"type": ["string", "null"]}, {"anyOf": [{"type": "null"}, TEXT]}),
        ({"title": "A", "description": "old", "type": "string"}, {"title": "B", "type": "string"}),
    ],
)
def test_an_input_may_take_more(before: dict[str, Any], now: dict[str, Any]) -> None:
    now.pop("maximum", None)

    assert breaks(kind(input=before), kind(input=now)) == []


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (record(a=INT), record("a", a=INT), "input /a: may be left out → must be there"),
        (record(a=INT), record("b", a=INT, b=INT), "input /b: may be left out → must be there"),
        (record(a={"type": "number"}), record(a=INT), "input /a: number → integer"),
        (record(a=INT), record(a=TEXT), "input /a: integer → string"),
        (record(a={"enum": ["x", "y"]}), record(a={"enum": ["x"]}), 'input /a: const "y" → enum ["x"]'),
        (record(a=INT, b=INT), record(a=INT, closed=True), "input /b: integer → nothing"),
        ({"type": "object"}, record(a=INT), "input /a: anything → integer"),
        ({"type": "array"}, {"type": "array", "items": TEXT}, "input /*: anything → string"),
        (TEXT, {"type": "string", "minLength": 1}, "input: minLength 0 → minLength 1"),
        (TEXT, {"type": "string", "pattern": "^a"}, 'input: no such pattern → pattern "^a"'),
        (INT, {"type": "integer", "exclusiveMaximum": 9}, "input: no maximum → exclusiveMaximum 9"),
    ],
)
def test_an_input_may_not_take_less(before: dict[str, Any], now: dict[str, Any], said: str) -> None:
    assert breaks(kind(input=before), kind(input=now)) == [said]


def test_a_result_may_promise_more() -> None:
    assert breaks(kind(result=record("a", a=INT)), kind(result=record("a", "b", a=INT, b=TEXT))) == []


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (record("b", b=TEXT), "result /a: must be there → may be left out"),
        (record("a", a={"type": ["integer", "null"]}), "result /a: integer → null"),
    ],
)
def test_a_result_may_not_promise_less(now: dict[str, Any], said: str) -> None:
    assert said in breaks(kind(result=record("a", a=INT)), kind(result=now))


class Cat(BaseModel):
    type: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    type: Literal["dog"]
    tricks: list[str] = []


class Node(BaseModel):
    name: str
    children: "list[Node]" = []


class NamedNode(BaseModel):
    name: str
    note: str | None = None
    children: "list[NamedNode]" = []


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str


class OpenMore(Open):
    age: int = 0


Pet = Annotated[Cat | Dog, Field(discriminator="type")]


def schema(type: Any) -> dict[str, Any]:
    return TypeAdapter(type).json_schema()


def test_a_union_told_apart_by_a_tag_may_gain_a_member_and_lose_none() -> None:
    assert gaps(schema(list[Cat]), schema(list[Pet])) == []
    assert gaps(schema(list[Pet]), schema(list[Cat])) != []


def test_recursive_models_are_compared() -> None:
    assert gaps(schema(Node), schema(NamedNode)) == []
    assert gaps(schema(NamedNode), schema(Node)) == []


def test_a_model_that_takes_anything_beside_its_fields_may_not_gain_a_typed_one() -> None:
    assert [gap.pointer for gap in gaps(schema(Open), schema(OpenMore))] == ["/age"]


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.org/a.json"},
        {"$ref": "#/$defs/nowhere"},
        {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        {"$schema": "http://json-schema.org/draft-04/schema#", "type": "string"},
    ],
)
def test_what_cannot_be_compared_counts_as_broken(schema: dict[str, Any]) -> None:
    assert gaps({**schema, "minLength": 1}, schema | {"maxLength": 3}) != []


_names = st.sampled_from(["a", "b", "c"])
_leaves = st.one_of(
    st.sampled_from(
        [True, {}, TEXT, INT, {"type": "number"}, {"type": "null"}, {"type": "boolean"}, {"type": ["string", "null"]}]
    ),
    st.builds(lambda low: {"type": "integer", "minimum": low}, st.integers(0, 2)),
    st.builds(lambda most: {"type": "string", "maxLength": most}, st.integers(0, 2)),
    st.builds(
        lambda values: {"enum": values},
        st.lists(st.sampled_from(["a", 1, 0, None, True, 1.5]), min_size=1, unique_by=repr),
    ),
)


def _composed(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, min_size=1, max_size=3)
    objects = st.fixed_dictionaries(
        {"type": st.just("object")},
        optional={
            "properties": st.dictionaries(_names, inner, max_size=3),
            "required": st.lists(_names, max_size=2, unique=True),
            "additionalProperties": st.one_of(st.booleans(), inner),
        },
    )
    arrays = st.fixed_dictionaries(
        {"type": st.just("array"), "maxItems": st.integers(0, 3)},
        optional={"items": inner, "prefixItems": some, "minItems": st.integers(0, 2)},
    )
    return st.one_of(
        objects,
        arrays,
        some.map(lambda them: {"anyOf": them}),
        some.map(lambda them: {"allOf": them}),
        some.map(lambda them: {"oneOf": them}),
    )


SCHEMAS = st.recursive(_leaves, _composed, max_leaves=6)


def as_sent(schema: Any) -> Any:
    """The schema as who sends reads it: no more fields than it names."""
    if isinstance(schema, list):
        return [as_sent(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: as_sent(value) if name not in ("enum", "properties") else value for name, value in schema.items()}
    if "properties" in schema:
        closed["properties"] = {name: as_sent(value) for name, value in schema["properties"].items()}
        closed.setdefault("additionalProperties", False)
    return closed


def mended(schema: Any, data: st.DataObject) -> Any:
    """A schema that differs from `schema` in a place or two, so that the two are often compatible."""
    if isinstance(schema, dict) and data.draw(st.booleans()):
        names = [
            name
            for name in ("required", "enum", "minimum", "maxLength", "additionalProperties", "properties")
            if name in schema
        ]
        if names:
            gone = data.draw(st.sampled_from(names))
            return {name: value for name, value in schema.items() if name != gone}
    return data.draw(
        st.sampled_from([{"anyOf": [schema, {"type": "null"}]}, {"anyOf": [TEXT, schema]}, {"allOf": [schema]}])
    )


_SCALARS = [None, True, False, -1, 0, 1, 1.0, 1.5, "", "a", "aaa"]
_INNER = [*_SCALARS, [], [1], {}, {"a": 1}, {"b": "a"}]
VALUES: list[Any] = [
    *_INNER,
    *([one, other] for one in _INNER for other in _SCALARS),
    *([one, other, "a"] for one in (1, "a") for other in (None, "a")),
    *({name: value} for name in "abc" for value in _INNER),
    *({"a": one, "b": other} for one in _INNER for other in _SCALARS),
    *({"a": one, "b": other, "c": {}} for one in (1, "a") for other in _SCALARS),
]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(sent=SCHEMAS, other=SCHEMAS, data=st.data())
def test_whatever_is_compatible_is_accepted(sent: Any, other: Any, data: st.DataObject) -> None:
    wanted = data.draw(st.sampled_from([other, sent])) if data.draw(st.booleans()) else mended(sent, data)
    assume(not gaps(sent, wanted))

    before = [jsonschema_rs.validator_for(schema) for schema in (sent, as_sent(sent))]
    sendable = [value for value in VALUES if all(schema.is_valid(value) for schema in before)]

    assert [value for value in sendable if not jsonschema_rs.is_valid(wanted, value)] == []
