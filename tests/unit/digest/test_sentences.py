"""What counts as a sentence of a text."""

import pytest

from digest.sentences import cut, split

README = """\
---
title: A pump
---

# The pump

[![build](https://example.org/badge.svg)](https://example.org) ![A picture of it.](pump.png)

A **pump** moves `water` from
[one place](https://example.org/place) to another. It runs for years.

Install it:

```sh
pip install pump. Then run it. It is easy enough.
```

    for part in pump.parts:
        print(part.name, "is fine.")

- It is quiet, even at night.
- Blue, red or green

| Part  | What it does for you.       |
|-------|-----------------------------|
| valve | It keeps the water in. Yes. |

> It never failed us, says a farmer.

<p align="center">Some markup in the middle.</p>
"""


def test_markdown_gives_the_sentences_of_its_paragraphs_lists_and_quotations_without_markup() -> None:
    assert split(README) == [
        "A pump moves water from one place to another.",
        "It runs for years.",
        "It is quiet, even at night.",
        "It never failed us, says a farmer.",
    ]


def test_indented_paragraphs_of_a_novel_are_text_and_not_code() -> None:
    novel = "CHAPTER I\n\n    It was late. The lamps were lit along the whole\nstreet.\n\n    Nobody came."

    assert split(novel) == ["It was late.", "The lamps were lit along the whole street.", "Nobody came."]


@pytest.mark.parametrize(
    ("passage", "pieces"),
    [
        ("Dr. Ames met J. R. Ito, i.e. the author, at 3.30 p.m. on Monday. They spoke.", 2),
        ("It costs 3.50 at example.org today. Is that so? It is!", 3),
        ("Versions 3.10 … 4.3 work. Others do not.", 2),
        ("He stopped… and went on. “Why?” she asked. (Nobody knew.) He left.", 4),
        ("Am 3. Oktober kam z.B. Herr Dr. Ott. »Guten Tag!« Er setzte sich.", 3),
        ("¿Qué hora es? Son las tres. ¡Vamos!", 3),
        ("他来了。他说：“你好。”然后走了！真的吗？", 4),  # noqa: RUF001
        ("यह एक वाक्य है। यह दूसरा वाक्य है।", 2),
        ("هل أنت بخير؟ نعم أنا بخير جدا.", 2),
    ],
)
def test_a_paragraph_is_cut_where_its_sentences_end(passage: str, pieces: int) -> None:
    found = [piece for piece in cut(passage) if piece]

    assert len(found) == pieces
    assert "".join(found).replace(" ", "") == passage.replace(" ", "")


@pytest.mark.parametrize("piece", [".", ".'", "a.b. ", "etc. and\n", "[", "> "])
def test_hostile_texts_are_read_in_linear_time(piece: str) -> None:
    assert len(split(piece * 50_000)) <= 1


@pytest.mark.parametrize("text", ["# Only a heading.", "```\nOnly code is here.\n```", "one two three", "1. 2. 3."])
def test_headings_code_and_bare_words_are_no_sentences(text: str) -> None:
    assert split(text) == []
