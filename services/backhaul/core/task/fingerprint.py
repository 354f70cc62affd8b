"""Telling whether two submissions ask for the same thing."""

import hashlib
import json
from typing import Any


def fingerprint(kind: str, input: Any) -> str:
    """Equal for equal kind and input, whatever the order of members and the spelling of numbers.

    The canonical form is that of RFC 8785 in effect (members sorted, `1.0` equals `1`), save that integers are
    compared exactly instead of as doubles.
    """
    canonical = json.dumps([kind, _normal(input)], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _normal(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _normal(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_normal(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
