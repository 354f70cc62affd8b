"""Which sentences are chosen, on vectors made by hand: each axis is one thing a sentence can be about."""

from collections.abc import Sequence

import numpy as np
import pytest

from digest.choice import choose, is_quotable
from digest.embedder import Vectors

LONG_ENOUGH = "This sentence has the length of one that can be quoted alone, number {}."


def about(*axes: Sequence[float]) -> Vectors:
    rows = np.array(axes, dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def sentences(count: int) -> list[str]:
    return [LONG_ENOUGH.format(number) for number in range(count)]


def test_the_sentence_most_like_the_whole_text_is_chosen_first() -> None:
    vectors = about((0, 0, 1), (1, 1, 0), (1, 0, 0), (0, 1, 0))

    [choice] = choose(sentences(4), vectors, 1)

    assert choice.index == 1
    assert choice.score == max(vectors @ (vectors.mean(axis=0) / np.linalg.norm(vectors.mean(axis=0))))


def test_a_second_sentence_tells_something_else() -> None:
    pumps, valves = (1, 0.1), (0.1, 1)
    vectors = about(pumps, pumps, pumps, pumps, valves, valves)

    first, second = choose(sentences(6), vectors, 2)

    assert first.index < 4 <= second.index


def test_choices_come_in_the_order_of_the_text() -> None:
    vectors = about(*np.random.default_rng(7).normal(size=(30, 8)))

    chosen = [choice.index for choice in choose(sentences(30), vectors, 10)]

    assert chosen == sorted(set(chosen))
    assert len(chosen) == 10


def test_a_title_draws_the_choice_towards_it() -> None:
    vectors = about((1, 0.2, 0), (1, -0.2, 0), (0.9, 0, 0.5))

    [without] = choose(sentences(3), vectors, 1)
    [with_title] = choose(sentences(3), vectors, 1, np.array((0, 0, 1), dtype=np.float32))

    assert (without.index, with_title.index) == (0, 2)


def test_fewer_sentences_than_wanted_are_all_chosen() -> None:
    vectors = about((1, 0), (1, 0), (0, 1))

    assert [choice.index for choice in choose(sentences(3), vectors, 50)] == [0, 1, 2]


def test_speech_and_fragments_are_chosen_only_if_there_is_nothing_else() -> None:
    texts = ["“So it is, and so it was, and so it will be for ever,” said she.", LONG_ENOUGH, "Yes, yes, yes."]
    vectors = about((1, 0), (0, 1), (1, 0))

    [choice] = choose(texts, vectors, 1)

    assert choice.index == 1


@pytest.mark.parametrize(
    ("sentence", "quotable"),
    [
        (LONG_ENOUGH, True),
        ("人工智能的概念最早可以追溯到上个世纪的四十年代。", True),
        ("It is so.", False),
        ("On " + "and on " * 60 + "it went.", False),
        ("- she said that it would certainly be a good day for a walk", False),
    ],
)
def test_a_quotable_sentence_says_enough_and_not_too_much(sentence: str, quotable: bool) -> None:
    assert is_quotable(sentence) is quotable
