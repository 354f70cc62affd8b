from datetime import timedelta
from typing import Any

import pytest

from backhaul.cli import wording
from backhaul_contracts.events import Event
from backhaul_contracts.tasks import Progress
from tests.unit.client.records import event


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-0.001, "0.0 ms"),
        (0.0042, "4.2 ms"),
        (0.042, "42 ms"),
        (0.9999, "1.0 s"),
        (3.24, "3.2 s"),
        (59.96, "1 min"),
        (245, "4 min 5 s"),
        (7620, "2 h 7 min"),
        (273600, "3 d 4 h"),
    ],
)
def test_a_length_of_time_has_the_precision_that_people_need(seconds: float, words: str) -> None:
    assert wording.length(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(("count", "words"), [(950, "950 bytes"), (12_345, "12.3 kB"), (4_500_000, "4.5 MB")])
def test_a_size_is_told_in_the_unit_that_fits(count: int, words: str) -> None:
    assert wording.size(count) == words


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (Progress(done=3), "3"),
        (Progress(done=0.5, total=2), "0.5/2"),
        (Progress(done=40, total=100, note="embedding"), "40/100 embedding"),
    ],
)
def test_progress_tells_what_is_known(progress: Progress, words: str) -> None:
    assert wording.progress(progress) == words


@pytest.mark.parametrize(
    ("type", "data", "words"),
    [
        ("task.accepted", {}, None),
        ("task.progress", {"done": 1}, None),
        ("task.succeeded", {}, None),
        ("task.waiting", {}, "waiting for a task of its own"),
        ("task.log", {"level": "error", "message": "odd"}, "error: odd"),
        ("task.retrying", {"retry_at": "2026-01-31T08:00:00.000Z"}, "attempt 1 was handed back, the next at once"),
        ("task.something_new", {}, None),
        ("stream.gap", {}, "earlier events are no longer kept"),
    ],
)
def test_an_event_is_a_sentence_unless_it_is_shown_in_another_way(
    type: str, data: dict[str, Any], words: str | None
) -> None:
    assert wording.sentence(Event.model_validate(event(1, type, **data))) == words
