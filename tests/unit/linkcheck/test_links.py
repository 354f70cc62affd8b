"""Which links a document has."""

import pytest

from linkcheck.links import extract

MARKDOWN = """\
# [Home](https://example.org/)

Read [the guide](guide/start.md#install), the [paper][paper] and <https://example.org/auto>,
see also https://example.org/bare. ![A picture](/logo.png) <a href="https://example.org/html">x</a>

`https://example.org/code` [mail](mailto:a@example.org) [again](https://example.org/#top) [here](#below)

    https://example.org/indented

[paper]: https://example.org/paper "The paper"
"""


def test_markdown_links_are_found_once_each_in_order_and_those_in_code_are_not() -> None:
    assert extract(MARKDOWN, "markdown", "https://example.org/docs/index.md") == [
        "https://example.org/",
        "https://example.org/docs/guide/start.md",
        "https://example.org/paper",
        "https://example.org/auto",
        "https://example.org/bare",
        "https://example.org/logo.png",
        "https://example.org/html",
        "https://example.org/docs/index.md",
    ]


def test_relative_links_are_left_out_without_a_base() -> None:
    assert extract("[a](b.md) and [c](https://example.org/c)", "markdown") == ["https://example.org/c"]


def test_html_links_count_from_the_base_of_the_document() -> None:
    html = '<base href="https://example.org/x/"><a href=" y ">y</a><img src="z.png"/><script>var a="https://no.org";</script>'

    assert extract(html, "html") == ["https://example.org/x/y", "https://example.org/x/z.png"]


def test_a_link_that_is_no_address_is_kept_to_be_reported() -> None:
    assert extract("<a href='http://['>x</a>", "html", "https://example.org/") == ["http://["]


@pytest.mark.parametrize("piece", ["<a ", "<a x='", "<!--", "<![", "</", "<script>", "&#", "https://,"])
def test_hostile_documents_are_read_in_linear_time(piece: str) -> None:
    assert len(extract(piece * 100_000, "html")) <= 1


@pytest.mark.parametrize("document", ["", "</a></pre>", "<a", "<a href>", "[](", "<base href='http://['><a href='x'>"])
def test_a_document_in_disorder_has_no_links(document: str) -> None:
    assert extract(document, "html") == []
