"""`/docs`: the OpenAPI document as one plain page, which needs nothing from anywhere."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
summary { cursor: pointer; padding: .35rem 0; }
code, pre { font: .875rem/1.45 ui-monospace, monospace; }
pre { overflow: auto; max-height: 30rem; padding: .75rem; border: 1px solid #8884; border-radius: 6px; }
details > div { padding: 0 0 1rem 1.25rem; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .15rem 1rem .15rem 0; vertical-align: top; }
.get { color: #0a7d4f; } .post { color: #1a5fb4; } .delete { color: #c01c28; }
.method { display: inline-block; width: 4.5rem; font-weight: 600; } .note { color: #888; }
"""


def page(document: dict[str, Any]) -> str:
    """The page for people. It has no script: to try a call, use `curl` or import `/openapi.json` into a client."""
    info = document["info"]
    body = [
        f"<h1>{escape(info['title'])} <span class=note>{escape(info['version'])}</span></h1>",
        f"<p>{escape(info.get('description', ''))} For programs: <a href=openapi.json>openapi.json</a>.</p>",
        *_operations(document),
        "<h2>Types</h2>",
        *(_type(name, schema) for name, schema in sorted(document["components"]["schemas"].items())),
    ]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(info['title'])}</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>{''.join(body)}</html>"
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
    name = media.get("schema", {}).get("$ref", "").rpartition("/")[2]
    return f" <a href='#{escape(name)}'>{escape(name)}</a>" if name else ""


def _type(name: str, schema: Any) -> str:
    text = escape(json.dumps(schema, indent=2, ensure_ascii=False))
    return f"<details id='{escape(name)}'><summary><code>{escape(name)}</code></summary><pre>{text}</pre></details>"
