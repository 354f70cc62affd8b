import time
from datetime import timedelta

import pytest

from backhaul.gateway.http.conditions import EVENT_STREAM, JSON, choose, entity_tag, matches, preferred_wait


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, None),
        ("", None),
        ("wait=10", 10),
        ("wait=0", 0),
        ("WAIT = 10", 10),
        ('wait="10"', 10),
        ("respond-async, wait=10", 10),
        ("wait=10; foo=bar, respond-async", 10),
        ("wait=3600", 50),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=10s", None),
        ("await=10", None),
        ("wait=99999999999999999999", 50),
        (f"wait={'9' * 5_000}", 50),
        (f"wait={'0' * 5_000}7", 7),
        ("wait=\N{ARABIC-INDIC DIGIT THREE}", None),
    ],
)
def test_the_wait_of_a_prefer_header(prefer: str | None, seconds: int | None) -> None:
    expected = None if seconds is None else timedelta(seconds=seconds)

    assert preferred_wait(prefer) == expected


@pytest.mark.parametrize("prefer", [f"wait={'0' * 60_000}x", f"wait=1{' ' * 60_000}x", f"wait{' ' * 60_000}"])
def test_a_header_that_goes_on_and_on_is_read_at_once(prefer: str) -> None:
    begun = time.process_time()

    assert preferred_wait(prefer) is None
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    ("if_none_match", "known"),
    [('"17"', True), ('W/"17"', True), ('"16", "17"', True), ("*", True), ('"170"', False), ("17", False), ("", False)],
)
def test_entity_tags_are_compared_weakly(if_none_match: str, known: bool) -> None:
    assert matches(if_none_match, entity_tag(17)) is known


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, EVENT_STREAM),
        ("", EVENT_STREAM),
        ("*/*", EVENT_STREAM),
        ("text/event-stream", EVENT_STREAM),
        ("application/json", JSON),
        ("application/json, text/plain, */*", JSON),
        ("text/*", EVENT_STREAM),
        ("application/*;q=0.5", JSON),
        ("text/event-stream;q=0.1, application/json;q=0.2", JSON),
        ("text/event-stream;q=0, */*", JSON),
        ("Text/Event-Stream; charset=utf-8", EVENT_STREAM),
        ("text/html", None),
        ("text/event-stream;q=0", None),
        ("text/event-stream;q=much", None),
    ],
)
def test_the_form_that_is_accepted_best(accept: str | None, chosen: str | None) -> None:
    assert choose(accept, (EVENT_STREAM, JSON)) == chosen


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [("*/*", JSON), (None, JSON), ("text/event-stream", EVENT_STREAM), ("text/event-stream, */*", EVENT_STREAM)],
)
def test_what_is_named_wins_over_what_is_merely_covered(accept: str | None, chosen: str) -> None:
    assert choose(accept, (JSON, EVENT_STREAM)) == chosen
