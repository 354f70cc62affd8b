"""The report as one page."""

from collections.abc import Iterable
from html import escape

from markdown_it import MarkdownIt

# Nothing that strangers wrote becomes HTML. Links stay as they are, but for those that run as a script.
_RENDERER = MarkdownIt("commonmark", {"html": False})
_PAGE = """\
<!doctype html>
<html>
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>body {{ font: 1rem/1.5 sans-serif; max-width: 45rem; margin: 2rem auto; padding: 0 1rem }}</style>
</head>
<body>
{body}</body>
</html>
"""


def as_markdown(title: str, sections: Iterable[tuple[str, str]]) -> str:
    """The sections, each with its heading, below the title."""
    return "\n\n".join([f"# {' '.join(title.split())}", *(f"## {heading}\n\n{text}" for heading, text in sections), ""])


def as_html(title: str, markdown: str) -> str:
    """A page of its own for a report in Markdown."""
    return _PAGE.format(title=escape(title), body=_RENDERER.render(markdown))
