"""JSON as it crosses the wire: one strict reader, one writer."""

from typing import Any

from pydantic_core import from_json, to_json

MAX_NESTING = 100
_READER_NESTING = 200


def loads(data: bytes | str) -> Any:
    """The value of one JSON text. Integers of any size are exact; `NaN` and `Infinity` are refused (RFC 8259).

    Raises `ValueError` for anything that is not exactly one JSON value in UTF-8.
    """
    return from_json(data, allow_inf_nan=False)


def payload(value: Any) -> bytes:
    """Like `dumps`, but raises `ValueError` also for what would be lost or stuck on its way.

    That is a number that is not finite, which the reader makes of one like `1e400`, and nesting beyond `MAX_NESTING`.
    """
    data = to_json(value, inf_nan_mode="constants")
    if (b"Infinity" in data or b"NaN" in data) and data != dumps(value):
        raise ValueError("a number is too large: JSON's go to about 1.8e308")
    if too_deep(data):
        raise ValueError(f"it is nested deeper than {MAX_NESTING} levels: make it flatter")
    return data


def too_deep(data: bytes) -> bool:
    """Whether this JSON text is nested deeper than `MAX_NESTING`: inside of a message no reader would take it."""
    if data.count(b"[") + data.count(b"{") <= MAX_NESTING:
        return False
    around = _READER_NESTING - MAX_NESTING
    try:
        from_json(b"[" * around + data + b"]" * around)
    except ValueError:
        return True
    return False


def dumps(value: Any) -> bytes:
    """`value` as compact JSON in UTF-8. Raises `ValueError` for what JSON cannot say.

    A number that is not finite becomes null, as in JavaScript's `JSON.stringify` (ECMA-262, 25.5.2).
    """
    return to_json(value, inf_nan_mode="null")
