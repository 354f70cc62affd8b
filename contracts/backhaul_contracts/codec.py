"""JSON as it crosses the wire: one strict reader, one writer."""

from typing import Any

from pydantic_core import from_json, to_json

MAX_NESTING = 100
_READER_NESTING = 200
_READER_DIGITS = 4_300


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
    if fault := unreadable(data):
        raise ValueError(f"it {fault}")
    return data


def unreadable(data: bytes) -> str | None:
    """Why no reader would take a message with this JSON text inside, and what to do; None if readers do."""
    if len(data) <= _READER_DIGITS and data.count(b"[") + data.count(b"{") <= MAX_NESTING:
        return None
    around = _READER_NESTING - MAX_NESTING
    try:
        from_json(b"[" * around + data + b"]" * around)
    except ValueError as error:
        if "recursion" in str(error):
            return f"is nested deeper than {MAX_NESTING} levels: make it flatter"
        return f"has a number of more than {_READER_DIGITS:,} digits: write it as text"
    return None


def dumps(value: Any) -> bytes:
    """`value` as compact JSON in UTF-8. Raises `ValueError` for what JSON cannot say.

    A number that is not finite becomes null, as in JavaScript's `JSON.stringify` (ECMA-262, 25.5.2).
    """
    return to_json(value, inf_nan_mode="null")
