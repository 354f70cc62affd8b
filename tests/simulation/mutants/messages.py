"""Messages: acknowledged after the commit, published before they are crossed out."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from backhaul.broker.memory.subscriber import Handling
from backhaul.core.messages.relay import Relay
from backhaul.core.ports.broker import Delivery
from backhaul.core.ports.dispatch import Dispatch
from backhaul.ledger.desk import Letter
from backhaul.ledger.recorder import Recorder
from backhaul.store import journal
from backhaul_contracts.messages import ReportAnswered, Reported
from backhaul_contracts.reports import Recorded, Ruling
from tests.simulation.mutants.registry import mutant, together

_LOST = "there is no such task"
_FORGOTTEN = "was recorded before"
_UNPUBLISHED = "was never published"


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

    return together(
        patch("backhaul.store.journal.owed", lambda *_: journal._debts.rows([])),
        patch("backhaul.store.journal.under", under),
    )


@mutant("I9")
def nobody_sweeps_the_outbox() -> AbstractContextManager[Any]:
    return patch("backhaul.store.debts.owed", lambda *_, **__: [])
