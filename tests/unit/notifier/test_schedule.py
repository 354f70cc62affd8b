"""What follows from a try."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backhaul.core.ports.webhooks import Mail
from backhaul.core.task.record import RawJson
from backhaul.notifier.post import Answer
from backhaul.notifier.schedule import Schedule
from backhaul.notifier.targets import Targets

DELAYS = (timedelta(0), timedelta(seconds=10), timedelta(hours=1))
LOG = RawJson("{}")


def schedule(draw: float = 0.5, delays: Any = DELAYS) -> Schedule:
    return Schedule(delays, lambda: draw)


def mail(tried: int = 0, event: str = "task.succeeded") -> Mail:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Mail("whd_1", "claim", "default", "https://a", None, event, "https://a/", None, "{}", tried, now)


@pytest.mark.parametrize("status", [200, 202, 204])
def test_every_2xx_is_an_arrival(status: int) -> None:
    mark = schedule().postmark(mail(), Answer(status), LOG)

    assert (mark.state, mark.tried, mark.next_in) == ("delivered", 1, None)


@pytest.mark.parametrize("answer", [Answer(500), Answer(301), Answer(404), Answer(error="no answer within 15 s")])
def test_anything_else_is_tried_again_after_the_next_delay(answer: Answer) -> None:
    mark = schedule().postmark(mail(), answer, LOG)

    assert (mark.state, mark.tried, mark.next_in) == ("pending", 1, timedelta(seconds=10))


def test_delays_vary_by_a_tenth() -> None:
    waits = [schedule(draw).postmark(mail(), Answer(500), LOG).next_in for draw in (0.0, 0.999)]

    assert waits[0] == timedelta(seconds=9)
    assert waits[1] is not None
    assert timedelta(seconds=10.9) < waits[1] < timedelta(seconds=11)


def test_after_the_last_delay_it_is_given_up() -> None:
    assert schedule().postmark(mail(tried=1), Answer(500), LOG).state == "pending"
    assert schedule().postmark(mail(tried=2), Answer(500), LOG).state == "failed"


def test_a_longer_wish_of_the_receiver_counts_up_to_a_day() -> None:
    waits = [
        schedule().postmark(mail(), Answer(429, retry_after=timedelta(seconds=wish)), LOG).next_in
        for wish in (1, 60, 10**7)
    ]

    assert waits == [timedelta(seconds=10), timedelta(seconds=60), timedelta(days=1)]


def test_410_is_the_end() -> None:
    mark = schedule().postmark(mail(), Answer(410), LOG)

    assert (mark.state, mark.gone, mark.next_in) == ("failed", True, None)


def test_a_test_is_tried_once() -> None:
    assert schedule().postmark(mail(event="webhook.test"), Answer(500), LOG).state == "failed"


def test_a_first_delay_is_waited_out_before_the_first_try() -> None:
    patient = schedule(delays=(timedelta(seconds=5),))

    early = patient.early(mail(), timedelta(seconds=2))

    assert early is not None
    assert (early.state, early.tried, early.attempt, early.next_in) == ("pending", 0, None, timedelta(seconds=3))
    assert patient.early(mail(), timedelta(seconds=5)) is None
    assert patient.early(mail(tried=1), timedelta(0)) is None
    assert schedule().early(mail(), timedelta(0)) is None


def test_a_target_that_does_not_answer_gets_one_try_at_a_time() -> None:
    targets = Targets(total=10, each=4)
    for _ in range(4):
        targets.begin("slow")
    targets.begin("quick")

    full = targets.most(), targets.room
    for _ in range(4):
        targets.end("slow", answered=False)
    mute = targets.most()
    targets.begin("slow")
    waiting = targets.most()
    targets.end("slow", answered=True)

    assert full == ({"slow": 0, "quick": 3}, 5)
    assert mute == {"slow": 1, "quick": 3}
    assert waiting == {"slow": 0, "quick": 3}
    assert targets.most() == {"quick": 3}
