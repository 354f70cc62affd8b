"""The types of kinds in the OpenAPI document: moved without clashes, with examples that are valid."""

from datetime import timedelta
from typing import Any

import jsonschema_rs
import pytest
from pydantic import BaseModel, Field, TypeAdapter

from backhaul.gateway.description.examples import example
from backhaul.gateway.description.typed_kinds import with_kinds
from backhaul_contracts.kinds import KindSpec
from tests.conformance.http.stage import KIND

BARE: dict[str, Any] = {
    "paths": {
        "/v1/tasks": {"post": {"requestBody": {"content": {"application/json": {"schema": {}}}}}},
        "/v1/tasks/{task_id}/result": {"get": {"responses": {"200": {"content": {"application/json": {}}}}}},
    },
    "components": {"schemas": {"SubmitTask": {"type": "object"}}},
}


def spec(kind: str, input_schema: dict[str, Any]) -> KindSpec:
    return KIND.model_copy(update={"kind": kind, "input_schema": input_schema})


def schemas(*specs: KindSpec) -> dict[str, Any]:
    placed: dict[str, Any] = with_kinds(BARE, specs)["components"]["schemas"]
    return placed


def test_equal_names_in_two_kinds_do_not_clash() -> None:
    one = spec("a.b", {"$ref": "#/$defs/X", "$defs": {"X": {"type": "string"}}})
    two = spec("a.c", {"$ref": "#/$defs/X", "$defs": {"X": {"type": "integer"}}})

    placed = schemas(one, two)

    assert placed["a.b.input"] == {"$ref": "#/components/schemas/a.b.input.X"}
    assert (placed["a.b.input.X"], placed["a.c.input.X"]) == ({"type": "string"}, {"type": "integer"})


def test_a_definition_whose_name_is_taken_gets_another_one() -> None:
    kind = spec("a.b", {"$ref": "#/$defs/X", "$defs": {"X": {"type": "string"}, "input": {"$ref": "#/$defs/X"}}})
    other = spec("a.b.input", {"type": "integer"})

    placed = schemas(other, kind)

    assert placed["a.b.input.input"] == {"type": "integer"}
    assert placed["a.b.input.input_2"] == {"$ref": "#/components/schemas/a.b.input.X"}


def test_a_reference_to_the_root_and_a_property_called_like_a_keyword_are_led_right() -> None:
    kind = spec("a.b", {"properties": {"const": {"$ref": "#"}, "enum": {"$ref": "#/properties/const"}}})

    placed = schemas(kind)

    assert placed["a.b.input"]["properties"] == {
        "const": {"$ref": "#/components/schemas/a.b.input"},
        "enum": {"$ref": "#/components/schemas/a.b.input/properties/const"},
    }


def test_what_only_looks_like_a_reference_is_left_alone() -> None:
    kind = spec("a.b", {"const": {"$ref": "#/$defs/X"}, "$defs": {"X": {"type": "string"}}})

    assert schemas(kind)["a.b.input"] == {"const": {"$ref": "#/$defs/X"}}


def test_an_input_that_may_be_null_may_be_left_out() -> None:
    placed = schemas(spec("a.b", {"type": "null"}), spec("a.c", {"type": "string"}))

    assert placed["a.b.submit"]["required"] == ["kind"]
    assert placed["a.c.submit"]["required"] == ["kind", "input"]


class Leaf(BaseModel):
    name: str = Field(min_length=3)
    weight: float = Field(gt=2)


class Tree(BaseModel):
    leaves: list[Leaf] = Field(min_length=2)
    kind: str | int
    when: timedelta
    child: "Tree | None" = None


@pytest.mark.parametrize("type", [Tree, int, list[str], dict[str, int], tuple[int, str], None, bool | str])
def test_an_example_is_valid(type: Any) -> None:
    schema = TypeAdapter(type).json_schema()

    assert jsonschema_rs.is_valid(schema, example(schema))


def test_an_example_that_the_schema_gives_is_taken() -> None:
    assert example({"type": "string", "examples": [7, "good"]}) == "good"


@pytest.mark.parametrize("schema", [{"type": "string", "pattern": "^[a-z]{7}$"}, {"type": "string", "maxLength": 0}])
def test_where_no_example_is_found_there_is_none(schema: dict[str, Any]) -> None:
    assert example(schema) is None
