"""The links of a Markdown or HTML document."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Literal
from urllib.parse import urldefrag, urljoin

from markdown_it import MarkdownIt

Format = Literal["markdown", "html"]

MARKDOWN = MarkdownIt("commonmark").enable("table")

# Strangers' pages, well formed or not, are read in time linear in their length: no tag reaches over a "<", and
# nothing backtracks. So a tag is overlooked that holds a bare "<" in an attribute.
ATTRIBUTES = r"""(?: [^<>"']++ | "[^"<]*+" | '[^'<]*+' )*+"""
TOKEN = re.compile(
    rf"""
      <!-- .*? (?: --> | \Z )
    | < (?P<raw> script | style ) (?P<raw_attributes> \b {ATTRIBUTES} ) > .*? (?: </ (?P=raw) | \Z )
    | < (?P<end> /? ) (?P<tag> [a-z][a-z0-9]*+ ) (?P<attributes> {ATTRIBUTES} ) >
    | (?P<text> [^<]++ )
    """,
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
ATTRIBUTE = re.compile(r"""([^\s"'<>/=]+)\s*(?:=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>]+)))?""")
BARE = re.compile(r"https?://[^\s<>\"]*[^\s<>\".,;:!?)\]']")
QUIET = ("a", "code", "pre")


def extract(document: str, form: Format, base: str = "") -> list[str]:
    """The web addresses a document links to, each once, in its order, without `#fragment`.

    Relative links count from `base`, or from the document's own `<base>`; without either they are left out.
    Bare addresses in the text count as links, except in code.
    """
    html = MARKDOWN.render(document) if form == "markdown" else document
    return list(
        dict.fromkeys(address for address in addresses(html, base) if address.startswith(("http://", "https://")))
    )


def addresses(html: str, base: str) -> Iterator[str]:
    """What a page links to, resolved, of whatever scheme."""
    quiet = 0
    for token in TOKEN.finditer(html):
        tag = (token["tag"] or "").lower()
        if tag in QUIET:
            quiet = max(0, quiet + (-1 if token["end"] else 1))
        links = targets(token["attributes"] or token["raw_attributes"] or "")
        if tag == "base":
            base = resolved(base, "".join(links))
        else:
            yield from (resolved(base, link) for link in links)
        if token["text"] and not quiet:
            yield from BARE.findall(unescape(token["text"]))


def targets(attributes: str) -> list[str]:
    """The values of `href` and `src`."""
    return [
        double or single or bare
        for name, double, single, bare in ATTRIBUTE.findall(attributes)
        if name.lower() in ("href", "src")
    ]


def resolved(base: str, link: str) -> str:
    """The address that a link means, without its fragment."""
    link = unescape(link).strip()
    try:
        return urldefrag(urljoin(base, link)).url
    except ValueError:  # such as "http://[": no address, which the visit will find
        return link
