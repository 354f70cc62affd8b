"""The checker passes good histories, and finds each broken promise under its own number."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backhaul_contracts.tasks import Status
from tests.proof.checker import check
from tests.proof.given import (
    A_FAILURE,
    A_RETRIED_SUCCESS,
    A_SECOND_RUN,
    A_SUCCESS,
    NOTHING_LEFT,
    changed,
    final,
    handled,
    history,
    log,
    moment,
    replaced,
    retried,
    seen,
    story,
    submitted,
    unhandled,
    without,
)
from tests.proof.history import History
from tests.proof.observations import (
    Answer,
    Commanded,
    DrainAsked,
    End,
    EventSeen,
    Fault,
    FinalTask,
    GrantSeen,
    HandlerEnded,
    HandlerStarted,
    Heal,
    LoggedEvent,
    Observation,
    Remains,
    Submitted,
    Subscribed,
    TaskSeen,
    Terms,
    WatchEnded,
    WatchOpened,
    WebhookCame,
    WorkerLeft,
)


def found(observed: History) -> set[str]:
    return {str(violation.invariant) for violation in check(observed)}


@pytest.mark.parametrize(
    "words",
    [
        A_SUCCESS,
        A_RETRIED_SUCCESS,
        A_FAILURE,
        A_SECOND_RUN,
        "accepted scheduled queued started/1 succeeded/1",
        "accepted queued expired",
        "accepted queued cancelled",
        "accepted queued started/1 cancelling/1 output/1 succeeded/1",
        "accepted queued started/1 cancelling/1 cancelled/1",
        "accepted queued started/1 waiting/1 output/1 waiting/1 succeeded/1",
    ],
)
def test_a_good_history_breaks_nothing(words: str) -> None:
    assert check(history(story(words))) == []


def test_a_violation_tells_what_was_promised_and_shows_the_evidence() -> None:
    events = log("accepted queued started/1")
    task = final(events)

    violation = check(history(submitted(), events, task, NOTHING_LEFT))[0]

    assert violation.evidence == (task,)
    assert str(violation).startswith(
        "I1 (an acknowledged submit reaches exactly one terminal state) [tsk_1]: it never ended: it is running\n"
    )


class TestI1:
    def test_a_task_that_never_ends_is_caught(self) -> None:
        events = log("accepted queued started/1")

        assert found(history(submitted(), events, final(events), NOTHING_LEFT)) == {"I1"}

    def test_an_acknowledged_task_that_is_not_in_the_record_is_caught(self) -> None:
        assert found(history(submitted(), NOTHING_LEFT)) == {"I1"}

    def test_a_deleted_task_need_not_be_in_the_record(self) -> None:
        deleted = Commanded(client="c", command="delete", task_id="tsk_1", at=moment(9), answer=Answer.ACCEPTED)

        assert check(history(submitted(), seen(log(A_SUCCESS)), deleted, NOTHING_LEFT)) == []

    def test_a_record_that_ended_otherwise_than_its_log_is_caught(self) -> None:
        assert "I1" in found(history(changed(story(A_FAILURE), FinalTask, status=Status.EXPIRED)))

    def test_a_confirmed_publish_without_a_task_is_caught(self) -> None:
        published = submitted(None, key="message-1", status=None, seq=None)

        assert found(history(*story(A_SUCCESS), published)) == {"I1"}

    def test_a_confirmed_publish_is_good_if_its_task_is_in_the_record(self) -> None:
        published = submitted(None, key="tsk_1", status=None, seq=None)

        assert found(history(*story(A_SUCCESS), published)) == set()

    def test_an_acknowledged_retry_without_a_run_is_caught(self) -> None:
        assert found(history(story(A_FAILURE), retried())) == {"I1"}

    def test_an_unknown_retry_may_have_begun_a_run_or_not(self) -> None:
        unknown = retried(answer=Answer.UNKNOWN)

        assert check(history(story(A_FAILURE), unknown)) == []
        assert check(history(without(story(A_SECOND_RUN), Commanded), unknown)) == []

    def test_an_unknown_submit_may_have_made_a_task_or_not(self) -> None:
        unknown = submitted(answer=Answer.UNKNOWN, task_id=None, status=None, seq=None, key="tsk_1")

        assert check(history(unknown, NOTHING_LEFT)) == []
        assert check(history(unknown, without(story(), Submitted))) == []

    def test_the_task_of_an_unknown_submit_must_end_too(self) -> None:
        unknown = submitted(answer=Answer.UNKNOWN, task_id=None, status=None, seq=None, key="tsk_1")
        events = log("accepted queued")

        assert found(history(unknown, events, final(events), NOTHING_LEFT)) == {"I1"}


class TestI2:
    @pytest.mark.parametrize("then", ["cancelled/1", "succeeded/1", "retrying/1"])
    def test_a_second_ending_is_caught(self, then: str) -> None:
        events = log(f"{A_SUCCESS} {then}")

        assert "I2" in found(history(submitted(), events, final(events, result_hash=None)))

    def test_a_run_that_nobody_asked_for_is_caught(self) -> None:
        assert found(history(without(story(A_SECOND_RUN), Commanded))) == {"I2"}

    def test_a_parent_that_is_run_again_may_have_its_child_run_again(self) -> None:
        child = changed(without(story(A_SECOND_RUN), Commanded), FinalTask, origin="tsk_0")
        events = log(A_RETRIED_SUCCESS, "tsk_0")
        once = log(A_SUCCESS, "tsk_0")

        assert check(history(child, submitted("tsk_0"), events, final(events))) == []
        assert found(history(child, submitted("tsk_0"), once, final(once))) == {"I2"}

    def test_a_success_is_not_run_again(self) -> None:
        events = log(f"{A_SUCCESS} queued/1 started/2 succeeded/2")

        assert "I2" in found(history(submitted(), retried(), events, final(events), NOTHING_LEFT))

    def test_an_ending_that_was_shown_and_then_changed_is_caught(self) -> None:
        shown = TaskSeen(client="c", task_id="tsk_1", at=moment(4), status=Status.FAILED, seq=5)

        assert found(history(story(), shown)) == {"I2"}


class TestI3:
    def test_two_results_of_one_run_are_caught(self) -> None:
        other = TaskSeen(client="d", task_id="tsk_1", at=moment(9), status=Status.SUCCEEDED, result_hash="other")

        assert found(history(story(), other)) == {"I3"}

    def test_the_same_result_is_seen_by_everyone(self) -> None:
        same = TaskSeen(client="d", task_id="tsk_1", at=moment(9), status=Status.SUCCEEDED, result_hash="hash")

        assert check(history(story(), same)) == []

    def test_a_result_of_a_failed_run_is_caught(self) -> None:
        assert found(history(changed(story(A_FAILURE), FinalTask, result_hash="hash"))) == {"I3"}


class TestI4:
    def test_an_attempt_that_starts_before_the_other_has_ended_is_caught(self) -> None:
        assert found(history(story("accepted queued started/1 started/2 succeeded/2"))) == {"I4"}

    def test_one_attempt_granted_to_two_workers_is_caught(self) -> None:
        grants = [
            GrantSeen(worker=worker, task_id="tsk_1", attempt=1, token="t", at=moment(3)) for worker in ("w1", "w2")
        ]

        assert check(history(story(), grants[0], grants[0])) == []
        assert found(history(story(), *grants)) == {"I4"}

    def test_exclusive_handlers_one_after_the_other_are_right(self) -> None:
        events = log(A_RETRIED_SUCCESS)

        assert check(history(without(story(A_RETRIED_SUCCESS), HandlerStarted), handled(events, exclusive=True))) == []

    def test_exclusive_handlers_at_work_together_are_caught(self) -> None:
        works = handled(log(A_RETRIED_SUCCESS), exclusive=True)
        first, ended, second, _ = works
        longer = changed([ended], HandlerEnded, at=moment(7.5))

        assert found(history(unhandled(A_RETRIED_SUCCESS), first, longer, second)) == {"I4"}
        assert found(history(unhandled(A_RETRIED_SUCCESS), first, second)) == {"I4"}

    def test_handlers_that_are_not_exclusive_may_overlap(self) -> None:
        first, ended, second, _ = handled(log(A_RETRIED_SUCCESS))
        longer = changed([ended], HandlerEnded, at=moment(7.5))

        assert check(history(unhandled(A_RETRIED_SUCCESS), first, longer, second)) == []

    def test_a_killed_worker_is_not_at_work(self) -> None:
        first, _, second, _ = handled(log(A_RETRIED_SUCCESS), exclusive=True)
        kill = Fault(kind="kill", target="w1", at=moment(4.5))

        assert check(history(unhandled(A_RETRIED_SUCCESS), first, second, kill)) == []

    def test_a_paused_worker_is_not_at_work_if_it_stops_when_it_goes_on(self) -> None:
        first, ended, second, _ = handled(log(A_RETRIED_SUCCESS), exclusive=True)
        pause = Fault(kind="pause", target="w1", at=moment(4.5))
        resume = Heal(kind="resume", target="w1", at=moment(8))
        at_once = changed([ended], HandlerEnded, at=moment(8.1), how="cancelled")
        later = changed([ended], HandlerEnded, at=moment(12), how="cancelled")

        assert check(history(unhandled(A_RETRIED_SUCCESS), first, second, pause, resume, at_once)) == []
        assert found(history(unhandled(A_RETRIED_SUCCESS), first, second, pause, resume, later)) == {"I4"}


class TestI5:
    def test_a_write_of_an_older_attempt_is_caught(self) -> None:
        words = "accepted queued started/1 retrying/1 queued/1 started/2 output/1 succeeded/2"

        assert found(history(story(words))) == {"I5"}

    def test_a_write_of_an_attempt_that_is_over_is_caught(self) -> None:
        words = "accepted queued started/1 retrying/1 output/1 queued/1 started/2 succeeded/2"

        assert found(history(story(words))) == {"I5"}

    def test_words_of_an_attempt_that_are_recorded_under_another_are_caught(self) -> None:
        assert found(history(changed(story(A_RETRIED_SUCCESS), LoggedEvent, said_by=1))) == {"I5"}
        assert found(history(changed(story(A_RETRIED_SUCCESS), LoggedEvent, said_by=2))) == set()


class TestI6:
    def test_a_skipped_attempt_is_caught(self) -> None:
        assert found(history(story("accepted queued started/2 succeeded/2"))) == {"I6"}

    def test_a_repeated_attempt_is_caught(self) -> None:
        words = "accepted queued started/1 retrying/1 queued/1 started/1 succeeded/1"

        assert "I6" in found(history(without(story(words), HandlerStarted, HandlerEnded)))

    def test_an_attempt_of_a_task_that_was_not_queued_is_caught(self) -> None:
        assert found(history(story("accepted scheduled started/1 succeeded/1"))) == {"I6"}

    def test_more_failures_than_allowed_are_caught(self) -> None:
        assert found(history(changed(story(A_FAILURE), FinalTask, failures=4, max_attempts=3))) == {"I6"}

    @pytest.mark.parametrize(("numbers", "broken"), [((1, 2, 3), False), ((1, 3), True), ((1, 1), True), ((2,), True)])
    def test_what_a_handler_counts_stands_in_order(self, numbers: tuple[int, ...], broken: bool) -> None:
        observed = story()
        output = next(each for each in observed if isinstance(each, LoggedEvent) and each.type == "task.output")

        assert found(history(replaced(observed, output, numbers=numbers))) == ({"I6"} if broken else set())


def view(*seqs: int, watch: str = "v1", after: int = 0) -> list[Observation]:
    """What one connection of a view sees of a success: these `seqs`."""
    opened, *events, ended = seen(log(A_SUCCESS), watch=watch)
    of_seq = {event.seq: event for event in events if isinstance(event, EventSeen)}
    assert isinstance(opened, WatchOpened)
    return [replace(opened, after=after), *(of_seq[seq] for seq in seqs), ended]


UNSEEN = without(story(), WatchOpened, EventSeen, WatchEnded)


class TestI7:
    def test_a_view_goes_on_over_connections_without_gap_or_repeat(self) -> None:
        assert check(history(UNSEEN, view(1, 2), view(3, 4, 5, watch="v2", after=2))) == []

    @pytest.mark.parametrize("seqs", [(1, 3, 4, 5), (1, 2, 2, 3, 4, 5), (1, 3, 2, 4, 5), (2, 3, 4, 5)])
    def test_gaps_and_repeats_are_caught(self, seqs: tuple[int, ...]) -> None:
        assert found(history(UNSEEN, view(*seqs))) == {"I7"}

    @pytest.mark.parametrize("seqs", [(2, 3, 4, 5), (4, 5)])
    def test_gaps_and_repeats_after_a_reconnect_are_caught(self, seqs: tuple[int, ...]) -> None:
        assert found(history(UNSEEN, view(1, 2), view(*seqs, watch="v2", after=2))) == {"I7"}

    def test_a_view_that_ends_before_the_end_is_caught(self) -> None:
        assert found(history(UNSEEN, view(1, 2, 3))) == {"I7"}

    def test_a_view_that_its_client_left_may_end_anywhere(self) -> None:
        assert check(history(UNSEEN, changed(view(1, 2, 3), WatchEnded, end=End.LEFT))) == []

    def test_nothing_to_come_is_right_behind_the_end(self) -> None:
        empty = changed(view(watch="v2", after=5), WatchEnded, end=End.EMPTY)

        assert check(history(UNSEEN, view(1, 2, 3, 4, 5), empty)) == []

    def test_nothing_to_come_before_the_end_is_caught(self) -> None:
        empty = changed(view(watch="v2", after=3), WatchEnded, end=End.EMPTY)

        assert found(history(UNSEEN, view(1, 2, 3), empty)) == {"I7"}

    def test_without_a_cursor_a_view_begins_with_a_snapshot(self) -> None:
        opened, *events = view(4, 5)
        snapshot = EventSeen(
            watch="v1", task_id="tsk_1", seq=3, type="task.snapshot", at=moment(3), status=Status.RUNNING
        )

        assert check(history(UNSEEN, replaced([opened], opened, after=None), snapshot, events)) == []
        assert found(history(UNSEEN, opened, snapshot, events)) == {"I7"}, "behind a cursor nothing may be skipped"

    def test_a_snapshot_that_shows_another_status_than_the_log_is_caught(self) -> None:
        opened, *events = view(4, 5)
        snapshot = EventSeen(
            watch="v1", task_id="tsk_1", seq=3, type="task.snapshot", at=moment(3), status=Status.QUEUED
        )

        assert found(history(UNSEEN, replaced([opened], opened, after=None), snapshot, events)) == {"I7"}

    def test_a_gap_is_told_of_what_is_kept_no_longer(self) -> None:
        opened, *events = view(4, 5)
        gap = EventSeen(watch="v1", task_id="tsk_1", seq=3, type="stream.gap", at=moment(3), status=Status.RUNNING)
        log_kept = [each for each in UNSEEN if not (isinstance(each, LoggedEvent) and each.seq == 1)]

        assert not [each for each in check(history(log_kept, opened, gap, events)) if "left out" in each.text]
        assert found(history(UNSEEN, opened, gap, events)) == {"I7"}

    def test_a_stream_of_many_tasks_starts_anew_at_each_connection(self) -> None:
        first, second = view(2, 3), view(5, watch="v2")

        assert check(history(UNSEEN, *(changed(each, WatchOpened, task_id=None) for each in (first, second)))) == []
        assert found(history(UNSEEN, changed(view(2, 4, 5), WatchOpened, task_id=None))) == {"I7"}

    @pytest.mark.parametrize("lie", [{"type": "task.progress"}, {"attempt": 2}, {"seq": 9}])
    def test_an_event_that_is_another_in_the_log_is_caught(self, lie: dict[str, Any]) -> None:
        watched = view(1, 2, 3, 4, 5)

        assert "I7" in found(history(UNSEEN, replaced(watched, watched[4], **lie)))

    def test_an_event_with_other_data_than_the_log_is_caught(self) -> None:
        told = changed(story(A_FAILURE), LoggedEvent, digest="a")

        assert check(history(changed(told, EventSeen, digest="a"))) == []
        assert found(history(changed(told, EventSeen, digest="b"))) == {"I7"}

    def test_a_hole_in_the_log_is_caught(self) -> None:
        holed = [each for each in UNSEEN if not (isinstance(each, LoggedEvent) and each.seq == 4)]

        assert found(history(holed)) == {"I7"}

    def test_a_record_that_does_not_know_the_end_of_its_log_is_caught(self) -> None:
        assert found(history(changed(story(), FinalTask, seq=6))) == {"I7"}


class TestI8:
    def test_a_client_that_sees_cancelled_and_success_is_caught(self) -> None:
        cancelled = Commanded(
            client="c",
            command="cancel",
            task_id="tsk_1",
            at=moment(3),
            answer=Answer.ACCEPTED,
            status=Status.CANCELLED,
            seq=3,
        )

        assert "I8" in found(history(story(), cancelled))
        assert "I8" not in found(history(story(), replaced([cancelled], cancelled, client="d")))

    def test_a_cancelled_run_may_be_followed_by_one_that_succeeds(self) -> None:
        words = "accepted queued cancelled queued started/1 succeeded/1"

        assert check(history(story(words), retried())) == []


class TestI9:
    @pytest.mark.parametrize("left", [{"outbox": 1}, {"leases": 1}, {"queues": {"backhaul.claims": 1}}])
    def test_what_is_left_is_caught(self, left: dict[str, Any]) -> None:
        assert found(history(changed(story(), Remains, **left))) == {"I9"}

    def test_an_attempt_that_is_still_held_is_caught(self) -> None:
        assert found(history(changed(story(), FinalTask, held_by="w1"))) == {"I9"}

    def test_dead_letters_may_be_left(self) -> None:
        kept = {"backhaul.dead": 1, "backhaul.invalid": 1, "backhaul.unrouted": 1}

        assert check(history(changed(story(), Remains, queues=kept))) == []

    def test_an_end_at_which_nobody_looked_is_caught(self) -> None:
        assert found(history(without(story(), Remains))) == {"I9"}


class TestI10:
    TERMS = Terms(lease=timedelta(seconds=2))

    def test_work_that_resumes_in_time_is_right(self) -> None:
        heal = Heal(kind="start", target="broker", at=moment(2))

        assert check(history(story(), self.TERMS, heal)) == []

    def test_work_that_resumes_too_late_is_caught(self) -> None:
        assert found(history(self._started_at(6.1))) == {"I10"}
        assert check(history(self._started_at(5.9))) == []

    def test_work_that_never_resumes_is_caught(self) -> None:
        events = log("accepted queued")
        heal = Heal(kind="start", target="broker", at=moment(2))

        assert found(history(submitted(), events, final(events), NOTHING_LEFT, self.TERMS, heal)) == {"I1", "I10"}

    def test_another_task_of_the_queue_may_have_resumed_it(self) -> None:
        other = log("accepted queued started/1 succeeded/1", task_id="tsk_2")

        assert check(history(self._started_at(9), submitted("tsk_2"), other, final(other))) == []

    def test_a_task_that_is_not_due_is_not_waited_for(self) -> None:
        late = self._started_at(9)
        queued = next(each for each in late if isinstance(each, LoggedEvent) and each.type == "task.queued")

        assert check(history(replaced(late, queued, due=moment(8)))) == []

    def _started_at(self, second: float) -> list[Observation]:
        moved = without(story(A_SUCCESS), HandlerStarted, HandlerEnded)
        for event in (each for each in moved if isinstance(each, LoggedEvent) and each.seq > 2):
            moved = replaced(moved, event, at=moment(second + event.seq - 3))
        return [*moved, self.TERMS, Heal(kind="start", target="broker", at=moment(2))]


class TestI11:
    def test_a_handler_without_a_claim_is_caught(self) -> None:
        assert found(history(changed(story(), HandlerStarted, attempt=2))) == {"I11"}

    def test_a_handler_that_runs_twice_in_an_attempt_is_caught(self) -> None:
        observed = story()
        start = next(each for each in observed if isinstance(each, HandlerStarted))

        assert found(history(observed, start, replaced([start], start))) == {"I11"}

    def test_a_handler_in_another_worker_is_caught(self) -> None:
        assert found(history(changed(story(), HandlerStarted, worker="w9"))) == {"I11"}

    def test_a_handler_that_starts_before_its_claim_is_caught_beyond_the_skew_of_clocks(self) -> None:
        early = changed(story(), HandlerStarted, at=moment(2.5))

        assert found(history(early)) == {"I11"}
        assert check(history(early, Terms(skew=timedelta(seconds=1)))) == []


class TestI12:
    def test_two_tasks_of_one_key_in_the_record_are_caught(self) -> None:
        events = log(A_SUCCESS, task_id="tsk_2")
        lost = submitted(answer=Answer.UNKNOWN, task_id=None, status=None, seq=None, key="tsk_1")

        assert found(history(story(), lost, events, final(events, key="tsk_1"))) == {"I12"}

    def test_keys_of_two_tenants_are_two(self) -> None:
        events = log(A_SUCCESS, task_id="tsk_2")
        other = submitted("tsk_2", key="tsk_1", tenant="b")

        assert check(history(story(), other, events, final(events, key="tsk_1", tenant="b"))) == []

    def test_a_key_that_is_answered_with_two_tasks_is_caught(self) -> None:
        events = log(A_SUCCESS, task_id="tsk_2")

        assert found(history(story(), submitted("tsk_2", key="tsk_1"), events, final(events))) == {"I12"}

    def test_a_repeated_submit_is_told_so(self) -> None:
        assert check(history(story(), submitted(replayed=True))) == []
        assert found(history(story(), submitted())) == {"I12"}

    def test_a_task_of_another_kind_than_submitted_is_caught(self) -> None:
        assert found(history(changed(story(), FinalTask, kind="b.kind"))) == {"I12"}

    def test_a_task_that_nobody_submitted_is_caught(self) -> None:
        assert found(history(without(story(), Submitted))) == {"I12"}

    def test_each_task_that_nobody_submitted_is_caught(self) -> None:
        ids = ("tsk_7", "tsk_8", "tsk_9")
        strangers = [each for id_ in ids for each in (log(A_SUCCESS, task_id=id_), final(log(A_SUCCESS, task_id=id_)))]

        assert [each.task_id for each in check(history(story(), *strangers))] == list(ids)

    def test_a_task_whose_submit_was_refused_is_caught(self) -> None:
        refused = submitted(answer=Answer.REFUSED, task_id=None, status=None, seq=None, key="tsk_1")
        rejected = replaced([refused], refused, code="invalid_input")
        unavailable = replaced([refused], refused, code="unavailable")

        assert found(history(without(story(), Submitted), rejected)) == {"I12"}
        assert check(history(without(story(), Submitted), unavailable)) == []

    def test_a_child_is_its_parents(self) -> None:
        assert check(history(changed(without(story(), Submitted), FinalTask, origin="tsk_0"))) == []


class TestI13:
    WANTED = Subscribed(receiver="shop", events=("task.succeeded",), at=moment(0), task_id="tsk_1")
    CAME = WebhookCame(
        receiver="shop",
        delivery="whd_1",
        task_id="tsk_1",
        type="task.succeeded",
        of=moment(5),
        at=moment(6),
        signed=True,
        body="hash",
        taken=True,
    )

    def test_a_webhook_may_come_twice(self) -> None:
        assert check(history(story(), self.WANTED, self.CAME, self.CAME)) == []

    def test_an_event_that_nobody_was_told_of_is_caught(self) -> None:
        assert found(history(story(), self.WANTED)) == {"I13"}

    def test_a_webhook_that_its_receiver_never_took_is_caught(self) -> None:
        refused = replace(self.CAME, taken=False)

        assert found(history(story(), self.WANTED, refused)) == {"I13"}
        assert check(history(story(), self.WANTED, refused, self.CAME)) == []

    def test_an_endpoint_is_to_be_told_of_what_happens_once_it_is_there(self) -> None:
        early, late = (replace(self.WANTED, task_id=None, at=moment(second)) for second in (4, 5))

        assert found(history(story(), early)) == {"I13"}
        assert check(history(story(), late)) == []

    @pytest.mark.parametrize(
        "wrong",
        [
            {"signed": False},
            {"type": "task.started"},
            {"of": moment(7)},
        ],
        ids=["unsigned", "not asked for", "not in the log"],
    )
    def test_a_webhook_that_is_not_genuine_is_caught(self, wrong: dict[str, Any]) -> None:
        other = replace(self.CAME, delivery="whd_2", **wrong)

        assert found(history(story(), self.WANTED, self.CAME, other)) == {"I13"}

    def test_what_comes_to_an_endpoint_that_nobody_knows_to_be_there_is_nobodys_matter(self) -> None:
        assert check(history(story(), replace(self.CAME, signed=False))) == []

    @pytest.mark.parametrize("wrong", [{"body": "another"}, {"receiver": "bank"}, {"delivery": "whd_2"}])
    def test_a_repeat_that_cannot_be_known_as_one_is_caught(self, wrong: dict[str, Any]) -> None:
        assert found(history(story(), self.WANTED, self.CAME, replace(self.CAME, **wrong))) == {"I13"}


class TestI14:
    ASKED = DrainAsked(worker="w1", at=moment(3.5), answer=Answer.ACCEPTED)
    LEFT = WorkerLeft(worker="w1", at=moment(9))

    def test_a_worker_that_leaves_when_it_is_asked_is_right(self) -> None:
        assert check(history(story(A_RETRIED_SUCCESS), self.ASKED, self.LEFT)) == []

    def test_a_worker_that_stays_is_caught_unless_it_was_killed(self) -> None:
        killed = Fault(kind="kill", target="w1", at=moment(9))

        assert found(history(story(), self.ASKED)) == {"I14"}
        assert check(history(story(), self.ASKED, killed)) == []

    @pytest.mark.parametrize("answer", [Answer.REFUSED, Answer.UNKNOWN])
    def test_a_worker_that_may_not_have_been_told_may_stay(self, answer: Answer) -> None:
        assert check(history(story(), replace(self.ASKED, answer=answer))) == []

    def test_an_attempt_that_is_lost_with_a_leaving_worker_is_caught(self) -> None:
        assert found(history(self._lost(), self.ASKED, self.LEFT)) == {"I14"}

    def test_an_attempt_may_be_lost_by_what_was_harmed_or_just_healed(self) -> None:
        healed = Heal(kind="kill", target="broker", at=moment(3))
        terms = Terms(lease=timedelta(seconds=1))

        assert check(history(self._lost(), self.ASKED, self.LEFT, terms, healed)) == []
        assert found(history(self._lost(), self.ASKED, self.LEFT, terms, replace(healed, at=moment(2)))) == {"I14"}

    def test_an_attempt_that_was_lost_before_is_not_the_drains(self) -> None:
        assert check(history(self._lost(), replace(self.ASKED, at=moment(8)), self.LEFT)) == []

    def _lost(self) -> list[Observation]:
        told = story(A_RETRIED_SUCCESS)
        retrying = next(each for each in told if isinstance(each, LoggedEvent) and each.type == "task.retrying")
        return replaced(told, retrying, lost=True)
