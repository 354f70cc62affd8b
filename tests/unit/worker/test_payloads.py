"""From JSON to the types of a handler and back."""

from typing import Any, NotRequired, TypedDict

import pytest
from pydantic import BaseModel

from backhaul.worker.kit.payloads import InputMisfit, Shape, Unwritable, within, write_json


class Point(TypedDict):
    """Where."""

    x: int
    label: NotRequired[str]


class Path(TypedDict, total=False):
    points: list[Point]
    end: Point | None


class Named(BaseModel):
    names: dict[str, int]


def test_a_typed_dict_is_a_type_with_all_that_is_inside() -> None:
    shape = Shape(Path)

    assert shape.read({"points": [{"x": "3"}]}) == {"points": [{"x": 3}]}
    assert shape.input_schema["$defs"]["Point"]["required"] == ["x"]
    assert shape.input_schema["$defs"]["Point"]["description"] == "Where."
    assert "required" not in shape.input_schema


def test_typed_dicts_are_found_in_lists_and_unions() -> None:
    assert Shape(list[Point] | None).read([{"x": 1, "label": "a"}]) == [{"x": 1, "label": "a"}]


def test_pointers_are_escaped_and_start_at_the_input() -> None:
    with pytest.raises(InputMisfit, match=r"/input/names/a~1b: "):
        Shape(Named).read({"names": {"a/b": "no number"}})


def test_a_flood_of_faults_is_cut() -> None:
    with pytest.raises(InputMisfit, match=r"and 80 more$"):
        Shape(list[int]).read(["x"] * 100)


def test_what_json_cannot_say_of_numbers_is_null() -> None:
    assert Shape(list[float]).write([1.5, float("nan")]) == b"[1.5,null]"
    assert write_json("it", {"a": float("inf")}, 100) == b'{"a":null}'


def test_an_iterator_is_not_read_twice() -> None:
    """The second time it would be empty, and so would be the result."""
    with pytest.raises(Unwritable, match=r"it holds an iterator: return a list$"):
        Shape(Named | list[int]).write({"names": iter([1])})


def test_models_and_dates_are_written_wherever_they_are() -> None:
    assert write_json("it", [Named(names={"a": 1})], 100) == b'[{"names":{"a":1}}]'


@pytest.mark.parametrize("value", [object(), {"a": {1, object()}}, "\ud800"])
def test_what_is_not_json_is_named(value: Any) -> None:
    with pytest.raises(Unwritable, match=r"^the thing cannot be written as JSON"):
        write_json("the thing", value, 100)


def test_what_is_nested_too_deep_for_a_message_is_named() -> None:
    nested: Any = 1
    for _ in range(101):
        nested = [nested]

    with pytest.raises(Unwritable, match=r"^the result is nested deeper than 100 levels: make it flatter$"):
        within("the result", Shape(Any).write(nested), 1_000)
    assert write_json("it", nested[0], 1_000)


def test_a_number_too_long_to_be_read_is_named() -> None:
    with pytest.raises(Unwritable, match=r"^the result has a number of more than 4,300 digits: write it as text$"):
        within("the result", Shape(int).write(10**4_300), 10_000)
    assert within("the result", Shape(int).write(10**4_299), 10_000)
