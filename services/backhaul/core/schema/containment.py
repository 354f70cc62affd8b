"""Whether all that fits one JSON Schema fits another: sound, and where it cannot tell, the answer is no.

An object whose schema names its properties and says nothing of others is read as having no others, on the side of who
sends it: nobody may rely on what was silently ignored. So an optional field may be added later.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from backhaul.core.schema.alternatives import TOGETHER, Schema, TooComplex, alternatives, asserting, resolved
from backhaul.core.schema.bounds import BOUNDS, overstepped
from backhaul.core.schema.catalogue import validator_of
from backhaul_contracts.wire import Json

_ALL_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
_COMPARED = BOUNDS | {
    "type", "const", "enum", "prefixItems", "items", "properties", "patternProperties", "additionalProperties",
    "required",
}  # fmt: skip
_MODERN = re.compile(r"^https://json-schema\.org/draft/20(19-09|20-12)/schema#?$")
_MOST_STEPS = 20_000
_LONGEST = 100


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that may be `sent` and is not what is `wanted`; `pointer` leads to it in the value (`*`: any item)."""

    pointer: str
    sent: str
    wanted: str

    def below(self, step: str) -> "Gap":
        return replace(self, pointer=f"/{step.replace('~', '~0').replace('/', '~1')}{self.pointer}")


def gaps(sent: Json, wanted: Json) -> list[Gap]:
    """Why something that fits `sent` may not fit `wanted`; empty: all of it does."""
    if _text(sent) == _text(wanted):
        return []
    if _incomparable(sent, wanted):
        return [
            Gap("", "what it was", "the same: only schemas of one modern dialect, without nested $id, are compared")
        ]
    try:
        return list(dict.fromkeys(_Comparison(sent, wanted).gaps(sent, wanted)))
    except TooComplex as error:
        return [Gap("", "what it was", f"a schema that can be compared, but {error}")]
    except RecursionError:
        return [Gap("", "what it was", "a schema that can be compared, but it is nested too deep")]


class _Comparison:
    def __init__(self, sent_root: Json, wanted_root: Json) -> None:
        self._sent_root = sent_root
        self._wanted_root = wanted_root
        self._same_definitions = all(
            _member(sent_root, name) == _member(wanted_root, name) for name in ("$defs", "definitions")
        )
        self._under_way: set[tuple[str, str]] = set()
        self._steps = 0

    def gaps(self, sent: Json, wanted: Json) -> list[Gap]:
        """A pair that is being compared already holds if all else does: every value ends somewhere."""
        if wanted is True:
            return []
        pair = (_text(sent), _text(wanted))
        if pair in self._under_way:
            return []
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise TooComplex("it is too large")
        self._under_way.add(pair)
        try:
            return [gap for one in alternatives(sent, self._sent_root) for gap in self._of_one(one, wanted)]
        finally:
            self._under_way.remove(pair)

    def _of_one(self, sent: Schema, wanted: Json) -> list[Gap]:
        if isinstance(wanted, bool):
            return [] if wanted else [Gap("", _named(sent), "nothing")]
        found = list(self._plain(sent, asserting(wanted)))
        if "$ref" in wanted:
            found += self.gaps(sent, resolved(wanted["$ref"], self._wanted_root))
        for one in wanted.get("allOf", ()):
            found += self.gaps(sent, one)
        if "anyOf" in wanted:
            found += _fewest([self.gaps(sent, one) for one in wanted["anyOf"]])
        if "oneOf" in wanted:
            found += self._of_exactly_one(sent, wanted["oneOf"])
        return found

    def _of_exactly_one(self, sent: Schema, choices: list[Json]) -> list[Gap]:
        compared = [self.gaps(sent, one) for one in choices]
        best = _fewest(compared)
        fitting = compared.index(best)
        apart = all(self._apart(sent, one) for number, one in enumerate(choices) if number != fitting)
        return best or ([] if apart else [Gap("", _named(sent), "exactly one of several, which overlap")])

    def _apart(self, sent: Schema, other: Json) -> bool:
        """Whether no value that fits `sent` can fit `other`."""
        return all(self._alone_apart(sent, one) for one in alternatives(other, self._wanted_root))

    def _alone_apart(self, sent: Schema, other: Schema) -> bool:
        if "const" in sent and "const" in other:
            return bool(sent["const"] != other["const"])
        if not _widened(_types(sent)) & _widened(_types(other)):
            return True
        mine, theirs = sent.get("properties", {}), other.get("properties", {})
        return _types(sent) == {"object"} and any(
            name in mine and name in theirs and self._tagged_apart(mine[name], theirs[name])
            for name in sent.get("required", ())
        )

    def _tagged_apart(self, mine: Json, theirs: Json) -> bool:
        ones, others = alternatives(mine, self._sent_root), alternatives(theirs, self._wanted_root)
        return all("const" in a and "const" in b and a["const"] != b["const"] for a in ones for b in others)

    def _plain(self, sent: Schema, wanted: Schema) -> Iterator[Gap]:
        if not wanted:
            return
        if "const" in sent and not _refers(wanted):
            if not validator_of(wanted).is_valid(sent["const"]):
                yield Gap("", _named(sent), _named(wanted))
            return
        types = _types(sent)
        if any(name in wanted for name in ("const", "enum")) or not types <= _widened(_types(wanted)):
            yield Gap("", _named(sent), _named(wanted))
            return
        yield from (Gap("", bound.sent, bound.wanted) for bound in overstepped(sent, wanted, types))
        if "object" in types:
            yield from self._objects(sent, wanted)
        if "array" in types:
            yield from self._arrays(sent, wanted)
        yield from self._unknown(sent, wanted)

    def _objects(self, sent: Schema, wanted: Schema) -> Iterator[Gap]:
        for name in wanted.get("required", ()):
            if name not in sent.get("required", ()):
                yield Gap("", "may be left out", "must be there").below(name)
        if "patternProperties" in sent or "patternProperties" in wanted:
            names = ("properties", "patternProperties", "additionalProperties")
            if not all(self._same(sent.get(name), wanted.get(name)) for name in names):
                yield Gap("", "other names", "names by pattern")
            return
        mine, theirs = sent.get("properties", {}), wanted.get("properties", {})
        others_sent = sent.get("additionalProperties", "properties" not in sent)
        others_wanted = wanted.get("additionalProperties", True)
        for name, schema in mine.items():
            yield from self._below(name, schema, theirs.get(name, others_wanted))
        for name in theirs.keys() - mine.keys():
            yield from self._below(name, others_sent, theirs[name])
        yield from self._below("*", others_sent, others_wanted)

    def _arrays(self, sent: Schema, wanted: Schema) -> Iterator[Gap]:
        if any(isinstance(schema.get("items"), list) for schema in (sent, wanted)):
            if not self._same(sent.get("items"), wanted.get("items")):
                yield Gap("", "other items", "items by their place")
            return
        mine, theirs = sent.get("prefixItems", []), wanted.get("prefixItems", [])
        placed = max(len(mine), len(theirs))
        others_sent, others_wanted = sent.get("items", True), wanted.get("items", True)
        most = sent.get("maxItems", placed + 1)
        for place in range(min(placed, most)):
            one = mine[place] if place < len(mine) else others_sent
            other = theirs[place] if place < len(theirs) else others_wanted
            yield from self._below(str(place), one, other)
        if most > placed:
            yield from self._below("*", others_sent, others_wanted)

    def _below(self, step: str, sent: Json, wanted: Json) -> Iterator[Gap]:
        if sent is not False:
            yield from (gap.below(step) for gap in self.gaps(sent, wanted))

    def _unknown(self, sent: Schema, wanted: Schema) -> Iterator[Gap]:
        """Keywords that are not compared in depth: they stay, with all that belongs to them, or are gone."""
        for name in sorted(wanted.keys() - _COMPARED):
            together = next((names for names in TOGETHER if name in names), (name,))
            same = all(self._same(sent.get(one), wanted.get(one)) for one in together)
            if not same or name.startswith("unevaluated"):
                yield Gap("", f"no such {name}", f"{name} {_short(wanted[name])}")

    def _same(self, one: Json, other: Json) -> bool:
        return _text(one) == _text(other) and (self._same_definitions or not _refers(one))


def _fewest(found: list[list[Gap]]) -> list[Gap]:
    return min(found, key=len)


def _incomparable(sent: Json, wanted: Json) -> bool:
    """Older dialects mean other things by the same words; a nested `$id` changes what references mean."""
    dialects = {_member(schema, "$schema") for schema in (sent, wanted)}
    nested = any(_text(schema).count('"$id"') > (_member(schema, "$id") is not None) for schema in (sent, wanted))
    return nested or len(dialects) > 1 or not all(dialect is None or _MODERN.match(dialect) for dialect in dialects)


def _member(root: Json, name: str) -> Json:
    return root.get(name) if isinstance(root, Mapping) else None


def _types(schema: Schema) -> frozenset[str]:
    if "const" in schema:
        return frozenset({_type_of(schema["const"])})
    if "enum" in schema and "type" not in schema:
        return frozenset(_type_of(value) for value in schema["enum"])
    found = schema.get("type", _ALL_TYPES)
    return frozenset({found} if isinstance(found, str) else found)


def _type_of(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case int():
            return "integer"
        case float():
            return "number"
    return "array" if isinstance(value, list) else "object"


def _widened(types: frozenset[str]) -> frozenset[str]:
    """An integer is a number, and a number may be an integer: 1.0 is both."""
    return types | {"integer"} if "number" in types else types


def _text(schema: Json) -> str:
    return json.dumps(schema, sort_keys=True)


def _refers(schema: Json) -> bool:
    return '"$ref"' in _text(schema) or "Ref" in _text(schema)


def _named(schema: Schema) -> str:
    for name in ("const", "enum"):
        if name in schema:
            return f"{name} {_short(schema[name])}"
    types = _types(schema)
    return "anything" if types == _ALL_TYPES else " or ".join(sorted(types))


def _short(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
