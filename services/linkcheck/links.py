"""The links of a Markdown or HTML document."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Literal
from urllib.parse import urldefrag, urljoin

from markdown_it import MarkdownIt

Format = Literal["markdown", "html"]

MARKDOWN = MarkdownIt("commonmark").enable("table")
ADDRESSES = {"a": "href", "area": "href", "link": "href", "img": "src", "script": "src", "iframe": "src"}
VERBATIM = {"a", "code", "pre", "script", "style"}
BARE = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)\]']")


def extract(document: str, form: Format, base: str | None = None) -> list[str]:
    """The web addresses a document links to, each once, in its order, without `#fragment`.

    Relative links count from `base`, or from the document's own `<base>`; without either they are left out.
    """
    page = Page(base or "")
    page.feed(MARKDOWN.render(document) if form == "markdown" else document)
    page.close()
    return list(dict.fromkeys(page.addresses()))


class Page(HTMLParser):
    """Collects what a page links to. Bare addresses in its text count, those in code do not."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self._base = base
        self._links: list[str] = []
        self._verbatim = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._verbatim += tag in VERBATIM
        if tag == "base":
            self._base = urljoin(self._base, dict(attrs).get("href") or "")
        elif link := dict(attrs).get(ADDRESSES.get(tag, "")):
            self._links.append(link.strip())

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        self._verbatim = max(0, self._verbatim - (tag in VERBATIM))

    def handle_data(self, data: str) -> None:
        if not self._verbatim:
            self._links += BARE.findall(data)

    def addresses(self) -> Iterator[str]:
        for link in self._links:
            address = self._resolved(link)
            if address.startswith(("http://", "https://")):
                yield address

    def _resolved(self, link: str) -> str:
        try:
            return urldefrag(urljoin(self._base, link)).url
        except ValueError:  # such as "http://[": no address, which the visit will find
            return link
