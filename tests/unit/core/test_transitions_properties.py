"""The state machine under any sequence of commands, right and wrong, in any order and at any time."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from backhaul.core.messages.replies import ReplyTo, read
from backhaul.core.task.commands import Cancel, Command, Expire, GiveUp, Join, Lose, Release, Report, Rerun, TakeBack
from backhaul.core.task.lifecycle import TRANSITIONS
from backhaul.core.task.record import Draft, RawJson, Record
from backhaul.core.task.transitions import Change, Lease, Refusal, Rules, accept, advance, claim
from backhaul_contracts.events import EventType
from backhaul_contracts.failures import Failure
from backhaul_contracts.ids import LeaseToken, WorkerId, new_task_id
from backhaul_contracts.reports import (
    AbandonedReport,
    Called,
    CheckpointReport,
    FailedReport,
    HandedBackReport,
    LogReport,
    OutputReport,
    ProgressReport,
    ResumedReport,
    Ruling,
    StoppedReport,
    SucceededReport,
    WaitingReport,
)
from backhaul_contracts.tasks import Progress, Status

RULES = Rules(retention=timedelta(hours=1), draw=lambda: 0.5)
START = datetime(2030, 1, 1, tzinfo=UTC)
MOVES = {(source, row.target) for row in TRANSITIONS for source in row.sources}
# A retry that is due at once passes through `retrying` within one transition.
MOVES |= {(Status.RUNNING, Status.QUEUED), (Status.WAITING, Status.QUEUED)}

LENGTHS = st.integers(0, 120_000_000).map(lambda microseconds: timedelta(microseconds=microseconds))
ENDS: dict[Status, EventType] = {
    Status.SCHEDULED: EventType.SCHEDULED,
    Status.QUEUED: EventType.QUEUED,
    Status.RETRYING: EventType.RETRYING,
    Status.CANCELLING: EventType.CANCELLING,
    Status.SUCCEEDED: EventType.SUCCEEDED,
    Status.FAILED: EventType.FAILED,
    Status.CANCELLED: EventType.CANCELLED,
    Status.EXPIRED: EventType.EXPIRED,
}


def reports(record: Record, shift: int, attempt_shift: int, token: str, length: timedelta) -> list[Report]:
    """One of each kind, numbered `shift` beyond the last recorded one."""
    common: dict[str, Any] = {
        "task_id": record.id,
        "attempt": max(1, record.attempt + attempt_shift),
        "token": token,
        "number": max(1, record.number + shift),
    }
    return [
        ProgressReport(**common, progress=Progress(done=1, total=2)),
        OutputReport(**common, delta="…"),
        LogReport(**common, message="…"),
        CheckpointReport(**common, checkpoint={"page": 1}),
        SucceededReport(**common, result=None),
        FailedReport(**common, failure=Failure(code="broken", title="It broke", retryable=True)),
        FailedReport(**common, failure=Failure(code="broken", title="It broke", retryable=True), retry_after=length),
        FailedReport(**common, failure=Failure(code="broken", title="It broke", retryable=False)),
        StoppedReport(**common),
        HandedBackReport(**common),
        WaitingReport(**common, calls=[Called(task_id="tsk_child", kind="test.child")]),
        ResumedReport(**common),
        AbandonedReport(**common, calls=["tsk_child"]),
    ]


class Life(RuleBasedStateMachine):
    """One task, and everything that may be asked of it."""

    @initialize(
        delay=st.none() | LENGTHS,
        expiry=st.none() | LENGTHS,
        max_attempts=st.integers(1, 3),
        base=LENGTHS,
        grace=LENGTHS,
    )
    def accept(
        self,
        delay: timedelta | None,
        expiry: timedelta | None,
        max_attempts: int,
        base: timedelta,
        grace: timedelta,
    ) -> None:
        self.now = START
        starts = None if delay is None else whole(START + delay)
        expires = None if expiry is None else whole((starts or START) + expiry)
        record = Record(
            id=new_task_id(),
            tenant="default",
            kind="test.echo",
            version="1",
            queue="test",
            status=Status.QUEUED if starts is None else Status.SCHEDULED,
            timeout=timedelta(minutes=1),
            grace=grace,
            max_attempts=max_attempts,
            retry_base=base,
            retry_cap=timedelta(minutes=1),
            created_at=START,
            scheduled_for=starts,
            not_before=starts,
            expires_at=expires,
        )
        self.record = record
        self.claims = 0
        self.obey(accept(Draft(record, RawJson("null"), None)), first=True)

    @rule(passed=st.integers(0, 90_000).map(lambda milliseconds: timedelta(milliseconds=milliseconds)))
    def pass_time(self, passed: timedelta) -> None:
        self.now += passed

    @rule()
    def be_claimed(self) -> None:
        lease = Lease(WorkerId("wrk_1"), f"clm_{self.claims}", self.claims, LeaseToken(f"token-{self.claims}"))
        before = self.record
        verdict = claim(before, lease, self.now)
        if isinstance(verdict, Change):
            self.claims += 1
            assert (verdict.record.attempt, verdict.record.token) == (before.attempt + 1, lease.token)
            assert verdict.record.number == 0
            assert before.status is Status.QUEUED
        self.obey(verdict)

    @rule(reason=st.none() | st.just("enough"), grace=st.none() | LENGTHS)
    def be_cancelled(self, reason: str | None, grace: timedelta | None) -> None:
        before = self.record
        self.decide(Cancel(self.record.id, reason, grace))
        assert before.status.done or self.record.status in (Status.CANCELLED, Status.CANCELLING)
        if before.status is Status.CANCELLING:
            assert before.not_before is not None
            assert self.record.not_before is not None
            assert self.record.not_before <= before.not_before, "a repeated cancel never lengthens the grace"
            assert self.record.seq == before.seq

    @rule()
    def be_run_again(self) -> None:
        before = self.record.status
        verdict = self.decide(Rerun(self.record.id))
        again = before in (Status.FAILED, Status.EXPIRED, Status.CANCELLED)
        assert isinstance(verdict, Change) == again
        if again:
            assert (self.record.failures, self.record.error, self.record.cancel_outcome) == (0, None, None)

    @rule(wish=st.sampled_from([Release, Expire, GiveUp]))
    def hear_the_clock(self, wish: type[Release] | type[Expire] | type[GiveUp]) -> None:
        before = self.record
        verdict = self.decide(wish(self.record.id))
        if isinstance(verdict, Change) and wish is not Expire:
            assert before.not_before is not None
            assert before.not_before <= self.now
        if isinstance(verdict, Change) and wish is Expire:
            assert before.expires_at is not None
            assert before.expires_at <= self.now
            assert before.attempt == 0

    @rule(wish=st.sampled_from([Lose, TakeBack]), shift=st.sampled_from([0, 0, -1, 1]))
    def lose_the_worker(self, wish: type[Lose] | type[TakeBack], shift: int) -> None:
        before = self.record
        verdict = self.decide(wish(self.record.id, self.record.attempt + shift))
        assert isinstance(verdict, Change) == (before.status.held and shift == 0)
        if isinstance(verdict, Change) and wish is TakeBack:
            assert self.record.failures == before.failures

    @precondition(lambda self: self.record.attempt > 0)
    @rule(kind=st.integers(0, 12), length=LENGTHS)
    def hear_the_worker(self, kind: int, length: timedelta) -> None:
        before = self.record
        verdict = self.decide(reports(before, 1, 0, str(before.token), length)[kind])
        assert isinstance(verdict, Change) == before.status.held
        if isinstance(verdict, Change):
            assert self.record.number == before.number + 1
            if kind == 10 and before.status is Status.RUNNING:
                assert self.record.status is Status.WAITING
            if kind == 11 and before.status is Status.WAITING:
                assert self.record.status is Status.RUNNING
            assert (verdict.abandoned == ("tsk_child",)) == (kind == 12)

    @rule(queue=st.none() | st.sampled_from(["a", "b"]), attempt=st.integers(0, 4))
    def be_joined(self, queue: str | None, attempt: int) -> None:
        """A call runs a task anew that ended without success, once in an attempt of the parent, when it has ended."""
        before = self.record
        reply = None if queue is None else ReplyTo(queue)
        verdict = self.decide(Join(before.id, reply, attempt))
        if before.status is Status.CANCELLING and attempt > before.called_in:
            assert isinstance(verdict, Refusal)
            assert verdict.ruling is Ruling.STALE
            return
        again = before.status in (Status.FAILED, Status.EXPIRED, Status.CANCELLED) and attempt > before.called_in
        assert self.record.status is not before.status or not again
        if before.status.done and not again:
            assert verdict == Refusal(before, Ruling.RECORDED)
        else:
            assert self.record.called_in == max(attempt, before.called_in)
            assert reply is None or reply in read(self.record.replies)
        assert self.decide(Join(before.id, reply, attempt)) == Refusal(self.record, Ruling.RECORDED)

    @precondition(lambda self: self.record.attempt > 0)
    @rule(
        kind=st.integers(0, 12),
        shift=st.integers(-2, 3),
        attempt_shift=st.integers(-1, 1),
        forged=st.booleans(),
    )
    def hear_nonsense(self, kind: int, shift: int, attempt_shift: int, forged: bool) -> None:
        """I5, I6: only the next report of the current attempt under its own token counts."""
        before = self.record
        token = "forged" if forged else str(before.token)
        report = reports(before, shift, attempt_shift, token, timedelta(0))[kind]
        current = before.status.held and report.attempt == before.attempt and not forged
        verdict = self.decide(report)
        if isinstance(verdict, Change):
            assert current
            assert report.number == before.number + 1
        elif not current:
            assert verdict.ruling is Ruling.STALE
        else:
            assert verdict.ruling is (Ruling.RECORDED if report.number <= before.number else Ruling.GAP)

    def decide(self, command: Command) -> Change | Refusal:
        verdict = advance(self.record, command, self.now, RULES)
        assert advance(self.record, command, self.now, RULES) == verdict
        if self.record.status.done and not isinstance(command, Rerun | Join):
            assert isinstance(verdict, Refusal), "I2: an ended task is immutable"
        self.obey(verdict)
        return verdict

    def obey(self, verdict: Change | Refusal, *, first: bool = False) -> None:
        before = self.record
        if isinstance(verdict, Refusal):
            assert verdict.record is before
            return
        after = verdict.record
        assert first or before.status is after.status or (before.status, after.status) in MOVES
        assert [event.seq for event in verdict.events] == list(range(before.seq + 1, after.seq + 1)), "I7: no holes"
        assert {event.attempt for event in verdict.events} <= {after.attempt}
        assert {event.time for event in verdict.events} <= {START if first else self.now}
        if verdict.events and after.status in ENDS and before.status is not after.status:
            assert verdict.events[-1].type is ENDS[after.status]
        assert (verdict.result is not None) == (after.status is Status.SUCCEEDED)
        self.record = after

    @invariant()
    def a_lease_is_held_exactly_by_a_held_task(self) -> None:
        held = self.record.status.held
        assert held == (self.record.token is not None) == (self.record.worker_id is not None)
        assert held == (self.record.claim_id is not None)

    @invariant()
    def attempts_are_counted_without_holes(self) -> None:
        assert self.record.attempt == self.claims

    @invariant()
    def the_budget_is_never_overdrawn(self) -> None:
        record = self.record
        assert 0 <= record.losses <= record.failures <= record.max_attempts
        if record.failures == record.max_attempts:
            assert record.status is Status.FAILED

    @invariant()
    def an_end_is_marked_as_one(self) -> None:
        record = self.record
        assert record.status.done == (record.finished_at is not None) == (record.retained_until is not None)
        assert (record.cancel_outcome is not None) == (record.status is Status.CANCELLED)
        assert record.status is not Status.SUCCEEDED or record.error is None
        assert record.status not in (Status.FAILED, Status.EXPIRED) or record.error is not None

    @invariant()
    def time_acts_next_only_where_something_waits_for_it(self) -> None:
        waits = self.record.status in (Status.SCHEDULED, Status.RETRYING, Status.CANCELLING)
        assert waits == (self.record.not_before is not None)

    @invariant()
    def moments_are_whole_milliseconds(self) -> None:
        record = self.record
        moments = (record.not_before, record.started_at, record.finished_at, record.retained_until)
        assert all(moment is None or moment.microsecond % 1_000 == 0 for moment in moments)


def whole(moment: datetime) -> datetime:
    return moment - timedelta(microseconds=moment.microsecond % 1_000)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
