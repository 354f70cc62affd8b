"""The keywords of JSON Schema that bound a value by a number: which of them let more pass than others do."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

_NUMBERS = frozenset({"integer", "number"})
_AT_LEAST = {"minLength": "string", "minItems": "array", "minProperties": "object"}
_AT_MOST = {"maxLength": "string", "maxItems": "array", "maxProperties": "object"}

BOUNDS = frozenset({
    *_AT_LEAST, *_AT_MOST, "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf", "uniqueItems",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Overstepped:
    """A bound that what is `sent` may be out of; both as words."""

    sent: str
    wanted: str


def overstepped(sent: Mapping[str, Any], wanted: Mapping[str, Any], types: AbstractSet[str]) -> Iterator[Overstepped]:
    """The bounds of `wanted` that a value of one of these `types` may overstep which keeps those of `sent`."""
    if types & _NUMBERS:
        yield from _limits(sent, wanted, "minimum", "exclusiveMinimum", sign=1)
        yield from _limits(sent, wanted, "maximum", "exclusiveMaximum", sign=-1)
        yield from _multiples(sent, wanted, types)
    for name, bounded in _AT_LEAST.items():
        if bounded in types and wanted.get(name, 0) > sent.get(name, 0):
            yield Overstepped(f"{name} {sent.get(name, 0)}", f"{name} {wanted[name]}")
    for name, bounded in _AT_MOST.items():
        if bounded in types and name in wanted and not sent.get(name, wanted[name] + 1) <= wanted[name]:
            yield Overstepped(_said(name, sent), f"{name} {wanted[name]}")
    if "array" in types and wanted.get("uniqueItems") and not sent.get("uniqueItems"):
        yield Overstepped("items may repeat", "uniqueItems")


def _limits(
    sent: Mapping[str, Any], wanted: Mapping[str, Any], inclusive: str, exclusive: str, *, sign: int
) -> Iterator[Overstepped]:
    mine, theirs = _limit(sent, inclusive, exclusive, sign), _limit(wanted, inclusive, exclusive, sign)
    if theirs is not None and (mine is None or mine < theirs):
        name = exclusive if theirs[1] else inclusive
        said = exclusive if mine is not None and mine[1] else inclusive
        yield Overstepped(_said(said, sent), f"{name} {wanted[name]}")


def _limit(schema: Mapping[str, Any], inclusive: str, exclusive: str, sign: int) -> tuple[float, bool] | None:
    """The stricter of both, in an order in which more is stricter."""
    found = [(sign * schema[name], name == exclusive) for name in (inclusive, exclusive) if name in schema]
    return max(found, default=None)


def _multiples(sent: Mapping[str, Any], wanted: Mapping[str, Any], types: AbstractSet[str]) -> Iterator[Overstepped]:
    step = wanted.get("multipleOf")
    own = sent.get("multipleOf", 1 if types <= {"integer"} else None)
    whole = isinstance(own, int) and isinstance(step, int)
    if step is not None and own != step and not (whole and own % step == 0):
        yield Overstepped(_said("multipleOf", sent), f"multipleOf {step}")


def _said(name: str, schema: Mapping[str, Any]) -> str:
    return f"{name} {schema[name]}" if name in schema else f"no {name}"
