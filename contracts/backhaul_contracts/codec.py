"""JSON as it crosses the wire: one strict reader, one writer."""

from typing import Any

from pydantic_core import from_json, to_json


def loads(data: bytes | str) -> Any:
    """The value of one JSON text. Integers of any size are exact; `NaN` and `Infinity` are refused (RFC 8259).

    Raises `ValueError` for anything that is not exactly one JSON value in UTF-8.
    """
    return from_json(data, allow_inf_nan=False)


def exactly(value: Any) -> bytes:
    """Like `dumps`, but raises `ValueError` also for a number that is not finite.

    The reader makes such a number of one that no double can hold, as `1e400`.
    """
    data = to_json(value, inf_nan_mode="constants")
    if (b"Infinity" in data or b"NaN" in data) and data != dumps(value):
        raise ValueError("a number is too large: JSON's go to about 1.8e308")
    return data


def dumps(value: Any) -> bytes:
    """`value` as compact JSON in UTF-8. Raises `ValueError` for what JSON cannot say.

    A number that is not finite becomes null, as in JavaScript's `JSON.stringify` (ECMA-262, 25.5.2).
    """
    return to_json(value, inf_nan_mode="null")
