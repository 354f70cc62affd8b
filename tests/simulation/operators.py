"""Operators: they register endpoints for webhooks, and ask workers to drain, over any gateway that answers."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

from tests.proof.observations import Answer, DrainAsked
from tests.simulation.http import Http, Lost, Reply
from tests.simulation.receivers import Receivers
from tests.simulation.roles import GatewayRole
from tests.simulation.witness import Witness

_MOST = 60
_AGAIN = 0.4


class Operator:
    """One operator. `asked`: the workers that are to leave, as a gateway has acknowledged."""

    def __init__(
        self,
        http: Http,
        gateways: Sequence[GatewayRole],
        witness: Witness,
        receivers: Receivers,
        draw: random.Random,
    ) -> None:
        self.asked: set[str] = set()
        self._http = http
        self._gateways = gateways
        self._witness = witness
        self._receivers = receivers
        self._draw = draw

    async def register(self, events: tuple[str, ...]) -> None:
        """An endpoint for all tasks. One that was not acknowledged may be there, too: its secret is known to nobody."""
        for number in range(1, _MOST):
            name = f"endpoint-{number}"
            reply = await self._call("/v1/webhook-endpoints", {"url": self._receivers.url(name), "events": [*events]})
            if reply is not None and reply.status == 201:
                self._receivers.subscribed(name, events, secret=reply.json()["secret"])
                return
            await asyncio.sleep(_AGAIN)

    async def drain(self, worker: str) -> None:
        """Ask a worker to leave, until a gateway has answered."""
        for _ in range(_MOST):
            reply = await self._call(f"/v1/workers/{worker}/drain")
            answer = _answer(reply)
            self._witness.see(DrainAsked(worker=worker, at=self._witness.now(), answer=answer))
            if answer is Answer.ACCEPTED:
                self._witness.met["worker asked to drain"] += 1
                self.asked.add(worker)
            if answer is not Answer.UNKNOWN:
                return
            await asyncio.sleep(_AGAIN)

    async def _call(self, target: str, body: Any = None) -> Reply | None:
        try:
            return await self._http.call(self._draw.choice(self._gateways), "POST", target, body)
        except Lost:
            return None


def _answer(reply: Reply | None) -> Answer:
    if reply is None or reply.status >= 500:
        return Answer.UNKNOWN
    return Answer.ACCEPTED if reply.status == 202 else Answer.REFUSED
