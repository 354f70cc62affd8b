"""A claim that was granted unseen is answered with what it was granted."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import pytest

from backhaul.core.clock import SystemClock
from backhaul.core.errors import StoreUnavailable
from backhaul.core.messages.relay import Relay
from backhaul.core.ports.broker import Delivery
from backhaul.core.task.record import RawJson
from backhaul.core.task.transitions import Rules
from backhaul.ledger.answers import Answers
from backhaul.ledger.claims import ClaimDesk
from backhaul.ledger.desk import Letter
from backhaul.store import SqlStore, open_store
from backhaul_contracts.claims import Claim, ClaimAnswer
from backhaul_contracts.messages import Claimed
from tests.conformance.store.given import LEASE, beat, claim, draft

pytestmark = pytest.mark.usefixtures("blocking_allowed")


@dataclass
class Heard:
    """What workers are told, and what is handed over to be published."""

    answers: list[ClaimAnswer] = field(default_factory=list)

    def send(self, worker_id: str | None, event: object, data: RawJson) -> None:
        self.answers.append(ClaimAnswer.model_validate_json(data))

    def hand_over(self, dispatch: object) -> None:
        """Nobody publishes here."""


@dataclass
class Came:
    """A delivery, as far as it matters."""

    redelivered: bool = False


@pytest.fixture
async def store() -> AsyncIterator[SqlStore]:
    rules = Rules(retention=timedelta(hours=1), draw=lambda: 0.5)
    store = open_store("sqlite:///:memory:", clock=SystemClock(), rules=rules, inline=True)
    await store.start()
    await store.beat([beat()], LEASE)
    await store.accept([draft(), draft()])
    yield store
    await store.stop()


def desk(store: Any, heard: Heard) -> ClaimDesk:
    return ClaimDesk(store, cast("Relay", heard), cast("Answers", heard), LEASE, on_missed=lambda queue: None)  # noqa: ARG005


def letter(claim: Claim, *, redelivered: bool = False) -> Letter[Claimed]:
    message = Claimed(source="/test", id="msg_1", data=claim)
    return Letter(cast("Delivery", Came(redelivered)), [message], redelivered)


async def test_a_claim_whose_ledger_died_before_it_answered_gets_its_grants_from_another(store: SqlStore) -> None:
    heard, asked = Heard(), claim()

    await desk(store, heard).handle([letter(asked)])
    await desk(store, heard).handle([letter(asked, redelivered=True)])

    first, second = heard.answers
    assert len(first.grants) == 1
    assert second == first


class ForgetfulStore:
    """Commits, and loses the answer once."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._lost = False

    async def claim(self, claims: Any, lease: timedelta) -> Any:
        answer = await self._store.claim(claims, lease)
        if not self._lost:
            self._lost = True
            raise StoreUnavailable("the connection was lost while it committed")
        return answer


async def test_a_claim_whose_commit_was_lost_sight_of_gets_what_it_was_granted_then(store: SqlStore) -> None:
    heard, asked = Heard(), claim()
    forgetful = desk(ForgetfulStore(store), heard)

    with pytest.raises(StoreUnavailable):
        await forgetful.handle([letter(asked)])
    await forgetful.handle([letter(asked)])
    await forgetful.handle([letter(claim())])

    attempts = [grant.task_id for answer in heard.answers for grant in answer.grants]
    assert len(attempts) == len(set(attempts)) == 2
