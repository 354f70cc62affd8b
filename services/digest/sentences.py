"""The sentences of a long text, plain or Markdown, in the order they are read."""

# ruff: noqa: RUF001  # the punctuation of many scripts is meant as it stands

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

# After these a sentence goes on. Those that often end one ("etc.", "no.", "usw.") are left out on purpose:
# two sentences taken for one read better than half a sentence.
ENGLISH = """mr mrs ms dr prof rev hon gen col capt lt sgt st messrs vs cf fig figs eq ed eds vol vols nos pp
ch sec approx ca al e.g i.e viz incl resp jan feb apr jun jul aug sep oct nov dec"""
GERMAN = "z.b d.h u.a bzw bspw vgl ggf evtl nr bd hr fr str"
ROMANCE = "mme mlle sr sra srta ud uds núm pág sig dott"
SLAVIC = "т.е т.к ул см рис np tzn mgr"
ABBREVIATIONS = frozenset(f"{ENGLISH} {GERMAN} {ROMANCE} {SLAVIC}".split())

CLOSING = r"""["'”’“»«›‹)\]」』）]*+"""
# Chinese and Japanese put no space after a full stop; elsewhere a dot without one stands inside a word.
BOUNDARY = re.compile(rf"(?<![\s.!?…؟۔।።។။])(?:[.!?…؟۔।።។။]++{CLOSING}(?=\s)|[。！？]++{CLOSING})")
ENDING = re.compile(rf"[.!?…؟۔।።។။。！？]{CLOSING}$")

# Without "code", the rule for indented code: novels indent their paragraphs. `is_code` tells them apart.
MARKDOWN = MarkdownIt("commonmark").enable("table").disable("code")
NEWLINE = re.compile(r"\r\n?|\n")
VISIBLE = {"text", "code_inline", "softbreak", "hardbreak"}
LONGEST_WORD = 40
SYMBOLS = set("(){}[]<>=_/\\#$&|*+`~@^")


def split(text: str) -> list[str]:
    """The sentences of `text`; headings, tables, code, images and markup are no sentences."""
    return [piece for passage in passages(text) for piece in cut(passage) if is_prose(piece)]


def passages(text: str) -> Iterator[str]:
    """The paragraphs of `text`, those of lists and quotations too, each on one line without its markup."""
    lines = NEWLINE.split(text)
    opened = None
    for token in MARKDOWN.parse(text):
        if token.nesting == 1:
            opened = token
        elif token.type == "inline" and opened and opened.type == "paragraph_open":
            passage = visible(token.children or [])
            first = lines[token.map[0]] if token.map and opened.level == 0 else ""
            if not (first.startswith(("    ", "\t")) and is_code(passage)):
                yield passage


def visible(tokens: list[Token]) -> str:
    """What a reader sees of a paragraph; line breaks have no content."""
    return " ".join("".join(token.content or " " for token in tokens if token.type in VISIBLE).split())


def cut(passage: str) -> Iterator[str]:
    """The pieces of a paragraph between the ends of its sentences."""
    start = 0
    for mark in BOUNDARY.finditer(passage):
        before = passage[max(start, mark.start() - LONGEST_WORD) : mark.start()]
        if is_end(before, mark.group(), passage[mark.end() : mark.end() + 2].strip()):
            yield passage[start : mark.end()].strip()
            start = mark.end()
    yield passage[start:].strip()


def is_end(before: str, mark: str, after: str) -> bool:
    """Whether a mark ends a sentence, and not an abbreviation, an initial or an ordinal ("am 3. Mai")."""
    if after[:1].islower():
        return False
    if mark != ".":
        return True
    word = re.split(r"[^\w.]", before)[-1].lower()
    initial = len(word) == 1 and word.isalpha() and word != "i"
    ordinal = len(word) <= 2 and word.isdecimal()
    return not (initial or ordinal or word in ABBREVIATIONS)


def is_code(passage: str) -> bool:
    """Whether an indented paragraph is a piece of a program rather than of a story."""
    return sum(character in SYMBOLS for character in passage) > 0.02 * len(passage)


def is_prose(piece: str) -> bool:
    """Whether a piece reads as a sentence: it ends like one and is made of words, unlike labels and code."""
    letters = sum(character.isalpha() for character in piece)
    return letters >= 8 and letters >= 0.6 * len(piece) and ENDING.search(piece) is not None
