"""`/docs`: the API and its kinds as one page, which needs nothing from anywhere; and the door before it."""

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import Any

from backhaul.gateway.description.kind_cards import kind_cards
from backhaul_contracts.kinds import KindSpec

_FOR_PROGRAMS = (
    "For programs: <a href=openapi.json data-shown>openapi.json</a>; "
    "over RabbitMQ: <a href=asyncapi.json data-shown>asyncapi.json</a>."
)
_KEY = "<input id=key type=password autocomplete=off size=60>"
_STYLE = (files(__package__) / "page.css").read_text(encoding="utf-8")
_SCRIPT = (files(__package__) / "page.js").read_text(encoding="utf-8")
_DOOR = (files(__package__) / "door.js").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Page:
    """The text of a page, and the Content-Security-Policy under which it works: nothing but what stands in it."""

    text: bytes
    policy: str


def page(document: dict[str, Any], specs: Sequence[KindSpec]) -> Page:
    """The page for people: the kinds, each to be tried, then every call and every type of `document`."""
    info = document["info"]
    body = [
        f"<h1>{escape(info['title'])} <span class=note>{escape(info['version'])}</span></h1>",
        f"<p>{escape(info.get('description', ''))} {_FOR_PROGRAMS}</p>",
        f"<p class=note><label>API key, where one is needed: {_KEY}</label></p>",
        kind_cards(specs),
        *_operations(document),
        "<h2>Types</h2>",
        *(_type(name, schema) for name, schema in sorted(document["components"]["schemas"].items())),
    ]
    return _page(info["title"], "".join(body), _SCRIPT)


def door(title: str) -> Page:
    """What a browser, which sends no key by itself, is shown where one is needed: a field for it."""
    form = (
        f"<h1>{escape(title)}</h1><form id=door><p><label>This page takes an API key that may read:<br>{_KEY}</label> "
        "<button>Show</button></p><p><output></output></p></form>"
        "<p class=note>It is sent to this server alone, and forgotten when the page is left.</p>"
    )
    return _page(title, form, _DOOR)


def _page(title: str, body: str, script: str) -> Page:
    text = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>{body}"
        f"<script>{script}</script></html>"
    )
    return Page(text.encode(), _POLICY)


def _hash(text: str) -> str:
    """As a policy names a text that stands in the page (CSP Level 3 §2.3.1)."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


# One policy for both, since the door puts the page in its own place.
_POLICY = (
    f"default-src 'none'; style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)} {_hash(_DOOR)}; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def _operations(document: dict[str, Any]) -> Iterator[str]:
    heading = None
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = operation["tags"][0]
            if tag != heading:
                heading = tag
                yield f"<h2>{escape(tag.capitalize())}</h2>"
            yield _operation(method, path, operation)


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    return (
        f"<details><summary><code><span class='method {method}'>{method.upper()}</span>{escape(path)}</code> "
        f"{escape(operation['summary'])}</summary><div>"
        f"<p>{escape(operation.get('description', ''))}</p>"
        f"{_parameters(operation)}{_body(operation)}{_answers(operation)}</div></details>"
    )


def _parameters(operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(item['name'])}</code><td class=note>{item['in']}<td>{escape(item['description'])}"
        for item in operation.get("parameters", ())
    )
    return f"<table>{rows}</table>" if rows else ""


def _body(operation: dict[str, Any]) -> str:
    body = operation.get("requestBody")
    return f"<p>Body: {_content(body['content'])}</p>" if body else ""


def _answers(operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{status}<td>{escape(answer['description'])}<td>{_content(answer.get('content', {}))}"
        for status, answer in sorted(operation["responses"].items())
    )
    return f"<table>{rows}</table>"


def _content(content: dict[str, Any]) -> str:
    return ", ".join(f"<code>{escape(media_type)}</code>{_link(media)}" for media_type, media in content.items())


def _link(media: dict[str, Any]) -> str:
    name = (media or {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
    return f" <a href='#{escape(name)}'>{escape(name)}</a>" if name else ""


def _type(name: str, schema: Any) -> str:
    text = escape(json.dumps(schema, indent=2, ensure_ascii=False))
    return f"<details id='{escape(name)}'><summary><code>{escape(name)}</code></summary><pre>{text}</pre></details>"
