"""What `/docs` says of each announced kind: its fields, and a form to try it."""

import json
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from backhaul.gateway.description.examples import example
from backhaul_contracts.kinds import KindSpec

_TRY_HEAD = "<p class=note>Each can be tried here.</p>"


def kind_cards(specs: Sequence[KindSpec]) -> str:
    """A card for each kind; where there is none, how to get one."""
    if not specs:
        return "<h2>Kinds</h2><p>No service has announced a kind yet: start a worker.</p>"
    return f"<h2>Kinds</h2>{_TRY_HEAD}{''.join(_card(spec) for spec in specs)}"


def _card(spec: KindSpec) -> str:
    name = escape(spec.kind)
    facts = f"{spec.service} {spec.service_version}, version {spec.version} of the kind, queue {spec.queue}"
    return (
        f"<details id='kind-{name}'><summary><code>{name}</code> {escape(_said(spec.input_schema))}</summary><div>"
        f"<p class=note>{escape(facts)}</p>{_fields(spec)}{_form(spec)}</div></details>"
    )


def _said(schema: dict[str, Any]) -> str:
    text = str(schema.get("description") or schema.get("title") or "")
    return text.partition("\n")[0]


def _fields(spec: KindSpec) -> str:
    rows = "".join(_rows(spec.input_schema))
    links = " and ".join(
        f"<a href='#{escape(spec.kind)}.{part}'>{escape(spec.kind)}.{part}</a>" for part in ("input", "result")
    )
    return f"{f'<table>{rows}</table>' if rows else ''}<p class=note>In full: {links}.</p>"


def _rows(schema: dict[str, Any]) -> Iterator[str]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        if isinstance(field, dict):
            note = "" if name in required else "optional"
            yield (
                f"<tr><td><code>{escape(name)}</code><td><code>{escape(_type(field))}</code><td class=note>{note}"
                f"<td>{escape(_said({**field, 'title': ''}))}"
            )


def _type(field: dict[str, Any]) -> str:
    """The type of a field in a word or two."""
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    for combined in ("anyOf", "oneOf"):
        if combined in field:
            return " | ".join(_type(one) for one in field[combined] if isinstance(one, dict))
    if "enum" in field:
        return " | ".join(json.dumps(value, ensure_ascii=False) for value in field["enum"])
    name = field.get("type", "any")
    if name == "array" and isinstance(field.get("items"), dict):
        return f"{_type(field['items'])}[]"
    return name if isinstance(name, str) else " | ".join(name)


def _form(spec: KindSpec) -> str:
    text = escape(json.dumps(example(spec.input_schema), indent=2, ensure_ascii=False))
    return (
        f"<form data-kind='{escape(spec.kind)}'><p><textarea aria-label=input spellcheck=false>{text}</textarea>"
        "<p><button>Submit</button><pre></pre></form>"
    )
