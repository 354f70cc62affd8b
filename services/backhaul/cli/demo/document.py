"""The document that the demo summarises."""

from dataclasses import dataclass
from pathlib import Path

from backhaul.cli.faults import Misuse

_CHECKOUT = Path(__file__).parents[4]


@dataclass(frozen=True, slots=True)
class Document:
    """A text and what to call it."""

    name: str
    text: str

    @property
    def title(self) -> str | None:
        """Its first heading."""
        headings = (line.removeprefix("# ").strip() for line in self.text.splitlines() if line.startswith("# "))
        return next(headings, None)

    @property
    def bytes(self) -> int:
        return len(self.text.encode())


def read(file: str | None) -> Document:
    """The document in `file`, or the project's own. Raises `Misuse` for what is not a text."""
    if file is not None:
        return Document(file, _text(Path(file)))
    pages = [page for page in (_CHECKOUT / "README.md", *sorted((_CHECKOUT / "docs").glob("*.md"))) if page.is_file()]
    if not pages:
        raise Misuse("the project's own documents are not beside this installation: name a file")
    return Document(_listed(pages), "\n\n".join(_text(page) for page in pages))


def _text(path: Path) -> str:
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        fact = (error.strerror or str(error)).lower()
        raise Misuse(f"{path} cannot be read ({fact}): name a text file") from error
    except UnicodeDecodeError as error:
        raise Misuse(f"{path} is not text in UTF-8: name a text or Markdown file") from error
    if "\0" in text:
        raise Misuse(f"{path} is binary: name a text or Markdown file")
    if not text.strip():
        raise Misuse(f"{path} is empty: name a file with sentences in it")
    return text


def _listed(pages: list[Path]) -> str:
    names = [str(page.relative_to(_CHECKOUT)) for page in pages]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} pages of docs"
