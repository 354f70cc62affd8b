"""The parts of a report: which task of which service writes each, and how its result is shown in Markdown."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urljoin

from markdown_it import MarkdownIt

MAX_PICTURES = 8
EDGE = 240
_MARKDOWN = MarkdownIt("commonmark")
_ESCAPED = str.maketrans({sign: f"\\{sign}" for sign in r"\`*_[]<>#|"})


@dataclass(frozen=True, slots=True)
class Part:
    """A call of another service. `shown` makes Markdown of its result, which is JSON."""

    kind: str
    heading: str
    input: dict[str, Any]
    shown: Callable[[Any], str]


def parts(text: str, title: str, base: str | None, sentences: int) -> list[Part]:
    """Summary, links, and a part for each of the first pictures."""
    document = {"text": text, "sentences": sentences, "title": title}
    links = {"document": text} | ({"base": base} if base else {})
    pictures = list(dict.fromkeys(_pictures(text, base or "")))[:MAX_PICTURES]
    return [
        Part("digest.summarise", "Summary", document, _summary),
        Part("linkcheck.check", "Links", links, _links),
        *(_picture(address, alternative) for address, alternative in pictures),
    ]


def _pictures(text: str, base: str) -> Iterator[tuple[str, str]]:
    """Address and alternative text of each picture on the web."""
    for block in _MARKDOWN.parse(text):
        for token in block.children or ():
            if token.type == "image":
                address = urljoin(base, str(token.attrs.get("src", "")))
                if address.startswith(("http://", "https://")):
                    yield address, token.content


def _picture(address: str, alternative: str) -> Part:
    wanted = {"url": address, "boxes": [{"width": EDGE, "height": EDGE}]}
    name = _plain(alternative) or address.rsplit("/", 1)[-1] or "picture"
    return Part("thumbnail.render", f"Picture: {name}", wanted, partial(_thumbnail, name))


def _summary(result: Any) -> str:
    lines = [f"> {_plain(sentence['text'])}" for sentence in result["sentences"]]
    return "\n>\n".join(lines) + f"\n\n{len(lines)} of {result['total']} sentences."


def _links(result: Any) -> str:
    totals = result["totals"]
    said = f"{totals['checked']} checked, {totals['broken']} broken, {totals['redirected']} redirected."
    broken = [f"- <{link['url']}>: {_reason(link)}" for link in result["links"] if not link["ok"]]
    return "\n".join([said, *(["", *broken] if broken else [])])


def _reason(link: Any) -> str:
    return _plain(link["error"]["code"] if link["error"] else str(link["status"]))


def _thumbnail(name: str, result: Any) -> str:
    small = result["thumbnails"][0]
    size = f"{result['width']} x {result['height']} pixels"
    if small["data"] is None:
        return f"{size}; a thumbnail is in `{small['file']}`."
    return f"![{name}](data:image/{result['format']};base64,{small['data']})\n\n{size}."


def _plain(text: str) -> str:
    """Text of strangers, on one line, that means nothing in Markdown."""
    return " ".join(text.split()).translate(_ESCAPED)
