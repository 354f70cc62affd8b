"""An operator: registers an endpoint for webhooks, and asks workers to drain, over whichever gateway answers."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import httpx

from backhaul_contracts.events import TERMINAL_EVENTS
from tests.faults.hooks import Hooks
from tests.faults.site import UNKNOWN, Site, now
from tests.proof.observations import Answer, DrainAsked

_TIMEOUT = httpx.Timeout(3)
_NAME = "endpoint"


class Operator:
    def __init__(self, site: Site, http: httpx.AsyncClient) -> None:
        self._site = site
        self._http = http

    async def register(self, hooks: Hooks) -> None:
        """An endpoint that is to be told of every end. The deployment is well: the first gateway answers."""
        events: Sequence[str] = sorted(TERMINAL_EVENTS)
        response = await self._call("/v1/webhook-endpoints", {"url": hooks.url(_NAME), "events": events})
        if response is None or response.status_code != 201:
            raise AssertionError(f"no endpoint could be registered: {response and response.text}")
        hooks.subscribed(_NAME, events, secret=response.json()["secret"])

    async def drain(self, worker_id: str) -> bool:
        """Ask a worker to leave, until an answer comes; whether it was there to be asked."""
        while True:
            response = await self._call(f"/v1/workers/{worker_id}/drain", {})
            answer = _answer(response)
            if response is not None and answer is Answer.REFUSED and response.status_code != 404:
                self._site.strange.append(f"POST {worker_id}/drain: {response.status_code} {response.text[:300]}")
            self._site.history.add(DrainAsked(worker=worker_id, at=now(), answer=answer))
            if answer is not Answer.UNKNOWN:
                return answer is Answer.ACCEPTED
            await self._site.pause()

    async def _call(self, path: str, body: Any) -> httpx.Response | None:
        with suppress(httpx.HTTPError):
            return await self._http.post(self._site.gateway() + path, json=body, timeout=_TIMEOUT)
        return None


def _answer(response: httpx.Response | None) -> Answer:
    if response is None or response.status_code in UNKNOWN:
        return Answer.UNKNOWN
    return Answer.ACCEPTED if response.status_code == 202 else Answer.REFUSED
