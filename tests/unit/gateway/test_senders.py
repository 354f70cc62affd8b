"""What the numbers of live messages tell."""

import pytest

from backhaul.gateway.push import senders
from backhaul.gateway.push.senders import Senders


def test_a_sender_is_followed_from_its_first_message_on() -> None:
    heard = Senders()

    assert [heard.ahead(f"live_a-{number}") for number in (7, 8, 9)] == [0, 0, 0]


def test_a_hole_says_how_many_are_missing() -> None:
    heard = Senders()

    assert [heard.ahead(f"live_a-{number}") for number in (1, 4, 5)] == [0, 2, 0]


def test_repeated_and_late_messages_lie_behind_and_change_nothing() -> None:
    heard = Senders()

    assert [heard.ahead(f"live_a-{number}") for number in (1, 3, 3, 2, 4)] == [0, 1, -1, -2, 0]


def test_each_sender_counts_for_itself() -> None:
    heard = Senders()

    assert [heard.ahead(id_) for id_ in ("live_a-1", "live_b-5", "live_a-2", "live_b-6")] == [0, 0, 0, 0]


@pytest.mark.parametrize("message_id", [None, "", "msg_1", "-5", "live_a-", "live_a-x"])
def test_a_message_without_a_number_is_taken_as_it_is(message_id: str | None) -> None:
    assert Senders().ahead(message_id) == 0


def test_senders_of_long_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "_MOST", 1)
    heard = Senders()

    assert [heard.ahead(id_) for id_ in ("live_a-1", "live_b-1", "live_a-9")] == [0, 0, 0]
