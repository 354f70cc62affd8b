"""JSON as it crosses the wire: one strict reader, one writer."""

from typing import Any

from pydantic_core import from_json, to_json


def loads(data: bytes | str) -> Any:
    """The value of one JSON text. Integers of any size are exact; `NaN` and `Infinity` are refused (RFC 8259).

    Raises `ValueError` for anything that is not exactly one JSON value in UTF-8.
    """
    return from_json(data, allow_inf_nan=False)


def dumps(value: Any) -> bytes:
    """`value` as compact JSON in UTF-8. Raises `ValueError` for what JSON cannot say.

    A number that is not finite becomes null, as in JavaScript's `JSON.stringify` (ECMA-262, 25.5.2).
    """
    return to_json(value, inf_nan_mode="null")
