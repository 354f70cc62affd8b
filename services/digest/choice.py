"""Which sentences stand for the whole text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from digest.embedder import Vectors

Numbers = NDArray[np.float32]

# Weights, in standard deviations of likeness to the topic; found by reading digests, not by training.
LEAD = 1.0  # gain of the first sentence: most texts say early what they are about
REPETITION = 3.0  # cost of saying the same as a chosen sentence
NEARNESS = 1.5  # cost of standing next to one: a digest follows the whole text
UNQUOTABLE = 9.0  # cost of what reads badly alone: chosen only if there is nothing else
TITLE = 0.5  # pull of a title, against that of all sentences together

IDEOGRAPH = 3  # letters that it says as much as
QUOTATION_MARKS = "\"'“‘„»«「-—"  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Choice:
    index: int
    """Place of the sentence in the text, from 0."""
    score: float
    """How much it is like the text as a whole, from -1 to 1."""


def choose(sentences: Sequence[str], vectors: Vectors, wanted: int, title: Numbers | None = None) -> list[Choice]:
    """At most `wanted` sentences that together tell most of the text, in its order.

    Maximal marginal relevance (Carbonell and Goldstein, 1998): again and again the sentence that is most like
    the topic and least like those chosen already, in meaning and in place. Time and memory grow linearly.
    """
    likeness = vectors @ topic(vectors, title)
    worth = merit(sentences, likeness)
    cost = np.zeros_like(worth)
    chosen: list[int] = []
    for _ in range(min(wanted, len(sentences))):
        best = int(np.argmax(worth - cost))
        chosen.append(best)
        worth[best] = -np.inf
        near = nearness(best, len(sentences), wanted)
        cost = np.maximum(cost, REPETITION * (vectors @ vectors[best]) + NEARNESS * near)
    return [Choice(index, float(likeness[index])) for index in sorted(chosen)]


def topic(vectors: Vectors, title: Numbers | None) -> Numbers:
    """The direction in which the text as a whole, and its title, point."""
    direction = unit(vectors.mean(axis=0))
    return direction if title is None else unit(direction + TITLE * title)


def merit(sentences: Sequence[str], likeness: Numbers) -> Numbers:
    """What each sentence is worth before any is chosen."""
    places = np.arange(len(sentences), dtype=np.float32)
    lead = np.exp(-places / (2 + 0.03 * len(sentences)))
    bad = np.array([not is_quotable(sentence) for sentence in sentences], dtype=np.float32)
    spread = likeness.std() or 1.0
    worth: Numbers = (likeness - likeness.mean()) / spread + LEAD * lead - UNQUOTABLE * bad
    return worth


def nearness(place: int, size: int, wanted: int) -> Numbers:
    """1 at `place`, falling over half the distance that `wanted` sentences would keep if spread evenly."""
    distance = np.abs(np.arange(size, dtype=np.float32) - place)
    near: Numbers = np.exp(-2 * wanted / size * distance)
    return near


def is_quotable(sentence: str) -> bool:
    """Whether a sentence says enough alone, not too much, and is nobody's speech."""
    size = sum(IDEOGRAPH if letter > "\u2e7f" else 1 for letter in sentence if letter.isalpha())
    return 40 <= size <= 300 and sentence[0] not in QUOTATION_MARKS


def unit(vector: Numbers) -> Numbers:
    length = np.linalg.norm(vector) or 1.0
    scaled: Numbers = vector / length
    return scaled
