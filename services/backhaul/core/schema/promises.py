"""Whether the platform's own schemas keep what stored ones promise."""

from collections.abc import Mapping
from typing import Any

from backhaul.core.schema.compatibility import breaks, worded
from backhaul_contracts.kinds import KindSpec
from backhaul_contracts.schemas import REQUESTS

Schemas = Mapping[str, Mapping[str, Any]]
"""JSON Schemas by name."""

READ = frozenset({*(model.__name__ for model in REQUESTS), "Submitted"})
"""What others write and the platform reads; all else is written by it."""


def broken_schemas(before: Schemas, now: Schemas) -> list[str]:
    """What in `now` breaks a schema of `before`, a sentence each."""
    found = [f"{name} is gone" for name in sorted(before.keys() - now.keys())]
    for name in sorted(before.keys() & now.keys()):
        found += [f"{name}{words}" for words in worded(before[name], now[name], read=name in READ)]
    return found


def broken_kinds(before: Mapping[str, KindSpec], now: Mapping[str, KindSpec]) -> list[str]:
    """What in `now` breaks a kind of `before` of the same version, a sentence each; both by `<kind>@<version>`."""
    return [
        f"{name} {words}" for name in sorted(before.keys() & now.keys()) for words in breaks(before[name], now[name])
    ]
