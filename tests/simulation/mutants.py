"""Mutants: the product with one guard removed. Each has to be caught, else simulation or checker are too weak."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection, select

from backhaul.broker.memory.subscriber import Handling
from backhaul.core import commands as cmd
from backhaul.core import reporting, transitions
from backhaul.core.changes import Change, Log
from backhaul.core.commands import Lose
from backhaul.core.endings import cancelled
from backhaul.core.ports.broker import Delivery
from backhaul.core.ports.store import Dispatch
from backhaul.core.record import Record
from backhaul.core.relay import Relay
from backhaul.core.transitions import Refusal, Rules
from backhaul.gateway.audit import Audit
from backhaul.gateway.reading import Reading
from backhaul.gateway.topic import Frame, Topic
from backhaul.ledger.desk import Letter
from backhaul.ledger.recorder import Recorder
from backhaul.store import accepting, changing, journal
from backhaul.store.schema import IS_HELD, states
from backhaul.worker.claims import Claims
from backhaul.worker.drain import drain
from backhaul.worker.exclusive import ExclusiveWatch
from backhaul.worker.shift import Shift
from backhaul.worker.token import TokenStream
from backhaul_contracts import codec
from backhaul_contracts.claims import Grant
from backhaul_contracts.ids import TaskId
from backhaul_contracts.messages import ReportAnswered, Reported
from backhaul_contracts.reports import Recorded, Ruling
from tests.simulation.database import database
from tests.simulation.loop import NEVER, START
from tests.simulation.service import QUICK

_SECOND = timedelta(seconds=1)

Mutation = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Mutant:
    """`caught`: what tells of it, an invariant or words of a promise beside them; one of them must be found."""

    name: str
    caught: frozenset[str]
    apply: Mutation
    harm: str | None = None
    """What is done in every seed to bring it out."""


@contextmanager
def _all(*patches: AbstractContextManager[Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for each in patches:
            stack.enter_context(each)
        yield


@contextmanager
def _without_index() -> Iterator[None]:
    empty = database().empty
    empty.execute("DROP INDEX tasks_key")
    yield
    empty.execute("CREATE UNIQUE INDEX tasks_key ON tasks (tenant, key) WHERE key IS NOT NULL")


_LOST = "there is no such task"
_FORGOTTEN = "was recorded before"
_UNPUBLISHED = "was never published"

MUTANTS: dict[str, Mutant] = {}


def mutant(*caught: str, harm: str | None = None) -> Callable[[Mutation], Mutation]:
    def add(apply: Mutation) -> Mutation:
        name = getattr(apply, "__name__", "").replace("_", " ")
        MUTANTS[name] = Mutant(name, frozenset(caught), apply, harm)
        return apply

    return add


@mutant("I5", harm="isolate")
def reports_of_any_attempt_are_recorded() -> AbstractContextManager[Any]:
    def fence(record: Record, report: cmd.Report) -> Refusal | None:
        current = record.attempt == report.attempt and record.token == report.token
        return None if record.status.held and not current else real(record, report)

    real = reporting._fence
    return patch("backhaul.core.reporting._fence", fence)


@mutant("I6")
def reports_are_recorded_whatever_their_number() -> AbstractContextManager[Any]:
    def fence(record: Record, report: cmd.Report) -> Refusal | None:
        current = record.status.held and record.attempt == report.attempt and record.token == report.token
        return None if current else Refusal(record, Ruling.STALE)

    return patch("backhaul.core.reporting._fence", fence)


@mutant("I2", "I6")
def a_report_overwrites_the_end_of_its_task() -> AbstractContextManager[Any]:
    def fence(record: Record, report: cmd.Report) -> Refusal | None:
        if record.status.done and record.attempt == report.attempt:
            return None
        return real(record, report)

    real = reporting._fence
    return patch("backhaul.core.reporting._fence", fence)


@mutant("I2", "I8")
def a_cancel_overwrites_the_end_of_its_task() -> AbstractContextManager[Any]:
    real = transitions._DECISIONS[cmd.Cancel]

    def cancel(record: Record, command: cmd.Cancel, now: datetime, rules: Rules) -> Change | Refusal:
        if record.status.done:
            return cancelled(record, now, rules, confirmed=True)
        return real(record, command, now, rules)

    return patch.dict(transitions._DECISIONS, {cmd.Cancel: cancel})


@mutant(_LOST, harm="ledger store.accept before")
def the_intake_acknowledges_before_the_commit() -> AbstractContextManager[Any]:
    real = Handling._run

    async def run(handling: Handling, delivery: Delivery) -> None:
        delivery.ack()
        await real(handling, delivery)

    return patch.object(Handling, "_run", run)


@mutant("I1", "I6", _FORGOTTEN, harm="ledger store.advance before")
def reports_are_acknowledged_and_answered_before_the_commit() -> AbstractContextManager[Any]:
    real = Recorder.handle

    async def handle(recorder: Recorder, letters: Sequence[Letter[Any]]) -> None:
        for letter in letters:
            letter.delivery.ack()
            for message in letter.messages:
                if isinstance(message, Reported):
                    report = message.data
                    said = Recorded(
                        task_id=report.task_id, attempt=report.attempt, number=report.number, ruling=Ruling.RECORDED
                    )
                    recorder._answers.send(letter.sender, ReportAnswered, said)
        await asyncio.sleep(0.01)
        await real(recorder, letters)

    return patch.object(Recorder, "handle", handle)


@mutant(_UNPUBLISHED)
def the_relay_settles_before_it_publishes() -> AbstractContextManager[Any]:
    real = Relay._publish_durable

    async def publish(relay: Relay, dispatches: Sequence[Dispatch]) -> Any:
        await relay._store.settle([dispatch.outbox_id for dispatch in dispatches if dispatch.outbox_id])
        return await real(relay, dispatches)

    return patch.object(Relay, "_publish_durable", publish)


@mutant(_UNPUBLISHED)
def nothing_is_written_into_the_outbox() -> AbstractContextManager[Any]:
    def under(outbox_id: int | None, dispatch: Dispatch) -> Dispatch:
        owes = bool(dispatch.tokens) or any(each.event.type.public for each in dispatch.happenings)
        return replace(dispatch, outbox_id="0" if owes else None)

    return _all(
        patch("backhaul.store.journal.owed", lambda *_: journal._debts.rows([])),
        patch("backhaul.store.journal.under", under),
    )


@mutant("I9")
def nobody_sweeps_the_outbox() -> AbstractContextManager[Any]:
    return patch("backhaul.store.debts.owed", lambda *_, **__: [])


@mutant("I11")
def a_claim_grants_without_writing() -> AbstractContextManager[Any]:
    real = changing.write

    def write(connection: Connection, changes: Sequence[Change], *others: Any, **options: Any) -> Dispatch:
        return real(connection, [], *others, **options)

    return patch("backhaul.store.claiming.write", write)


@mutant("I11")
def a_worker_runs_from_the_token() -> AbstractContextManager[Any]:
    real = Claims._for_tokens

    def for_tokens(claims: Claims, stream: TokenStream) -> Any:
        token = stream.waiting[0]
        task_id = codec.loads(token.delivery.body)["subject"]
        if task_id:
            claims._on_grant(_forged(task_id), None, 0.0)
        return real(claims, stream)

    return patch.object(Claims, "_for_tokens", for_tokens)


def _forged(task_id: str) -> Grant:
    return Grant(
        task_id=task_id,
        kind=QUICK,
        version="1.0.0",
        tenant="default",
        attempt=1,
        max_attempts=3,
        token="forged",
        input={"attempts": [[["return"]]]},
        metadata={},
        timeout=_SECOND,
        started_at=START,
    )


@mutant("I7")
def a_number_is_left_out_of_the_log() -> AbstractContextManager[Any]:
    real = Log.add_raw

    def add_raw(log: Log, type: Any, data: Any) -> None:
        real(log, type, data)
        if type == "task.retrying":
            log.events[-1] = replace(log.events[-1], seq=log.events[-1].seq + 1)

    return patch.object(Log, "add_raw", add_raw)


@mutant("I12")
def a_key_makes_a_second_task() -> AbstractContextManager[Any]:
    def name(draft: Any) -> tuple[str, str, str]:
        return ("", "", draft.record.id)

    return _all(
        _without_index(), patch.object(accepting, "_name", name), patch.object(accepting, "_BY_KEY", accepting._BY_ID)
    )


@mutant("I4")
def a_live_lease_is_taken_away() -> AbstractContextManager[Any]:
    held = select(states.c.task_id, states.c.attempt).where(IS_HELD)

    def lapsed(connection: Connection, limit: int) -> list[Lose]:
        return [Lose(TaskId(task_id), attempt) for task_id, attempt in connection.execute(held)]

    return _all(
        patch("backhaul.store.leases.lapsed", lapsed),
        patch("backhaul.store.advancing._standing", lambda *_: (set(), set())),
    )


@mutant("I4", harm="isolate")
def exclusive_handlers_run_on_without_a_lease() -> AbstractContextManager[Any]:
    return patch.object(ExclusiveWatch, "renew", lambda _: None)


@mutant("I4", "I11", harm="evict")
def a_leaving_worker_hands_back_what_still_runs() -> AbstractContextManager[Any]:
    async def hasty(shift: Shift, grace: Any) -> None:
        shift.attempts.hand_back_all()
        await drain(shift, grace)

    return patch("backhaul.worker.worker.drain", hasty)


@mutant("I7")
def nobody_looks_for_lost_live_events() -> AbstractContextManager[Any]:
    async def run(audit: Audit) -> None:
        await NEVER

    return patch.object(Audit, "run", run)


@mutant("I7")
def a_jump_in_live_events_is_passed_on() -> AbstractContextManager[Any]:
    def publish(topic: Topic, item: Frame) -> bool:
        if item.seq > topic.seq:
            topic.seq, topic.ended = item.seq, item.terminal
            topic._keep(item)
            topic.wake()
        return True

    return patch.object(Topic, "publish", publish)


@mutant("I7")
def a_reconnect_forgets_its_cursor() -> AbstractContextManager[Any]:
    real: Any = Reading.__init__

    def begin(
        reading: Reading,
        feed: Any,
        store: Any,
        clock: Any,
        watcher: Any,
        snapshot: Any,
        cursor: int | None,
        *others: Any,
    ) -> None:
        later = None if cursor is None else min(cursor + 1, snapshot.record.seq)
        real(reading, feed, store, clock, watcher, snapshot, later, *others)

    return patch.object(Reading, "__init__", begin)
