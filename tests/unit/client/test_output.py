from typing import Any

from backhaul.client.output import Output
from backhaul_contracts.events import Event
from tests.unit.client.records import event


def output_of(*events: dict[str, Any]) -> Output:
    output = Output()
    for each in events:
        output.take(Event.model_validate(each))
    return output


def test_text_deltas_are_joined_in_order() -> None:
    assert output_of(event(1, delta="Hel"), event(2, delta="lo")).text == "Hello"


def test_other_json_is_kept_delta_by_delta() -> None:
    output = output_of(event(1, delta={"row": 1}), event(2, delta="a"), event(3, delta=None))

    assert output.deltas == [{"row": 1}, "a", None]
    assert output.text == "a"


def test_a_retried_attempt_loses_what_it_wrote_behind_its_checkpoint() -> None:
    output = output_of(
        event(3, delta="kept "),
        event(5, delta="lost "),
        event(6, "task.retrying", attempt=1, keep_through=4),
        event(8, delta="new", attempt=2),
    )

    assert output.text == "kept new"


def test_a_retry_does_not_touch_the_output_of_earlier_attempts() -> None:
    output = output_of(
        event(3, delta="first "),
        event(4, "task.retrying", attempt=1, keep_through=3),
        event(6, delta="second ", attempt=2),
        event(7, "task.retrying", attempt=2, keep_through=0),
        event(9, delta="third", attempt=3),
    )

    assert output.text == "first third"


def test_withdrawn_output_is_told() -> None:
    output = output_of(event(3, delta="lost"))
    retrying = Event.model_validate(event(4, "task.retrying", attempt=1, keep_through=0))

    assert output.take(retrying) is True
    assert output.take(retrying) is False


def test_a_failed_attempt_is_shown_until_an_operator_retries_the_task() -> None:
    output = output_of(event(3, delta="partly"), event(4, "task.failed"), event(5, "task.queued"))
    before = output.text

    output.take(Event.model_validate(event(6, "task.started", attempt=2)))

    assert before == "partly"
    assert output.text == ""


def test_events_that_are_no_longer_kept_make_it_incomplete() -> None:
    assert output_of(event(1)).complete
    assert not output_of(event(90, "stream.gap")).complete
