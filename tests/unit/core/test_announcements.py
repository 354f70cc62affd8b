"""What the world hears of a commit."""

from backhaul.core.messages.announcements import public_messages
from backhaul.core.ports.dispatch import Happening
from backhaul.core.task.commands import Cancel, Lose
from backhaul.core.task.transitions import advance
from backhaul_contracts import codec
from tests.unit.core.test_transitions import NOW, RULES, change, record, running


def test_a_public_failure_holds_the_error_and_each_member_once() -> None:
    task = running(max_attempts=1)
    failed = change(advance(task, Lose(task.id, 1), NOW, RULES))

    (message,) = public_messages(Happening(failed.record, event) for event in failed.events)

    data = codec.loads(message.body)["data"]
    assert data["error"]["code"] == "dead_lettered"
    assert set(data) == {"task_id", "kind", "seq", "attempt", "status", "error", "key", "metadata", "parent_id"}


def test_a_public_cancellation_holds_an_error_that_is_none() -> None:
    task = record()
    cancelled = change(advance(task, Cancel(task.id), NOW, RULES))

    (message,) = public_messages(Happening(cancelled.record, event) for event in cancelled.events)

    data = codec.loads(message.body)["data"]
    assert (data["status"], data["error"], "result" in data) == ("cancelled", None, False)
