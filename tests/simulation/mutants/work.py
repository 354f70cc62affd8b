"""Work: claims, leases, and leaving."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection, select

from backhaul.core.ports.dispatch import Dispatch
from backhaul.core.task.changes import Change
from backhaul.core.task.commands import Lose
from backhaul.core.task.endings import fail
from backhaul.core.task.record import Record
from backhaul.core.task.transitions import Rules
from backhaul.store import changing
from backhaul.store.schema import IS_HELD, states
from backhaul.worker.attempts.exclusive import ExclusiveWatch
from backhaul.worker.claiming.claims import Claims
from backhaul.worker.claiming.token import TokenStream
from backhaul.worker.drain import drain
from backhaul.worker.shift import Shift
from backhaul_contracts import codec
from backhaul_contracts.claims import Grant
from backhaul_contracts.failures import Failure
from backhaul_contracts.ids import TaskId
from tests.simulation.loop import START
from tests.simulation.mutants.registry import mutant, together
from tests.simulation.service import QUICK

_SECOND = timedelta(seconds=1)


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


@mutant("I4")
def a_live_lease_is_taken_away() -> AbstractContextManager[Any]:
    held = select(states.c.task_id, states.c.attempt).where(IS_HELD)

    def lapsed(connection: Connection, limit: int) -> list[Lose]:
        return [Lose(TaskId(task_id), attempt) for task_id, attempt in connection.execute(held)]

    return together(
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


@mutant("I14", harm="roll out")
def a_worker_is_never_told_that_it_is_to_drain() -> AbstractContextManager[Any]:
    return patch("backhaul.store.leases.drain", lambda *_, **__: None)


@mutant("I14", harm="roll out")
def a_leaving_worker_goes_without_a_word() -> AbstractContextManager[Any]:
    async def silent(shift: Shift, grace: Any) -> None:
        await shift.claims.answered()

    return patch("backhaul.worker.worker.drain", silent)


@mutant("I14", harm="roll out")
def what_is_handed_back_counts_as_lost() -> AbstractContextManager[Any]:
    def hand_back(record: Record, now: datetime, rules: Rules) -> Change:
        return fail(record, Failure(code="lost", title="Lost", retryable=True), None, now, rules, lost=True)

    return patch("backhaul.core.task.reporting.hand_back", hand_back)
