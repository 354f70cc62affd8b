"""The receiver of all webhooks: it checks signatures, notes every try, and now and then fails like any other server."""

import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from hashlib import blake2b
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from backhaul.core.webhooks import new_secret
from tests.faults.site import now
from tests.proof.history import History
from tests.proof.observations import Subscribed, WebhookCame
from tests.support.receiver import HANG_UP, OK, Call, receiving, status

_REFUSES, _LOSES, _HANGS_UP = 0.05, 0.08, 0.11
"""By luck: up to the first it answers 500; then it takes what came, and its answer is lost; then it is gone."""


class Hooks:
    """Each webhook has a path of its own, which is its receiver's name. `friendly`: whatever comes is taken."""

    def __init__(self, history: History, chance: random.Random) -> None:
        self.friendly = False
        self.root = ""
        self._history = history
        self._chance = chance
        self._secrets: dict[str, str] = {}

    def url(self, name: str) -> str:
        return f"{self.root}/{name}"

    def webhook(self, name: str, events: Sequence[str]) -> dict[str, Any]:
        """A webhook of a task's own."""
        secret = self._secrets.setdefault(name, new_secret())
        return {"url": self.url(name), "events": [*events], "secret": secret}

    def subscribed(
        self, name: str, events: Sequence[str], *, task_id: str | None = None, secret: str | None = None
    ) -> None:
        """A gateway has acknowledged it. `secret`: of an endpoint, which learns it by the answer."""
        if secret is not None:
            self._secrets[name] = secret
        self._history.add(Subscribed(receiver=name, events=tuple(events), at=now(), task_id=task_id))

    def answer(self, call: Call) -> bytes:
        luck = 1.0 if self.friendly else self._chance.random()
        taken = _REFUSES < luck < _LOSES or luck >= _HANGS_UP
        self._note(call, taken=taken)
        if luck < _REFUSES:
            return status(500)
        return OK if luck >= _HANGS_UP else HANG_UP

    def _note(self, call: Call, *, taken: bool) -> None:
        name = call.path.rpartition("/")[2]
        told = json.loads(call.body)
        self._history.add(
            WebhookCame(
                receiver=name,
                delivery=call.id,
                task_id=told["data"]["id"],
                type=told["type"],
                of=datetime.fromisoformat(told["timestamp"]),
                at=now(),
                signed=_signed(self._secrets.get(name), call),
                body=blake2b(call.body, digest_size=8).hexdigest(),
                taken=taken,
            )
        )


def _signed(secret: str | None, call: Call) -> bool:
    if secret is None:
        return False
    try:
        Webhook(secret).verify(call.body, call.headers)
    except WebhookVerificationError:
        return False
    return True


@asynccontextmanager
async def hooks(history: History, chance: random.Random) -> AsyncIterator[Hooks]:
    """They are there as long as the block."""
    found = Hooks(history, chance)
    async with receiving() as receiver:
        receiver.answer = found.answer
        found.root = receiver.url
        yield found
