"""Health: `/healthz` says that the process lives, `/readyz` what it can do."""

import logging

from starlette.types import ASGIApp

from backhaul.core.complaints import Complaints
from backhaul.core.errors import Rejected, StoreUnavailable
from backhaul.core.readiness import lacks_broker
from backhaul.gateway.gateway import Gateway
from backhaul.gateway.http.problems import problem_reply
from backhaul.gateway.http.queries import Parameters, invalid, no_parameters
from backhaul.gateway.http.replies import Reply, retry_after
from backhaul.gateway.http.request import Request
from backhaul.gateway.patience import answered
from backhaul_contracts.problems import ProblemCode
from backhaul_contracts.wire import Wire

_log = logging.getLogger("backhaul.gateway")

_PARTS = ("store", "broker")
_KEPT = "tasks are accepted and kept, and run when it is back."
_DETAILS = {
    "store": "The database does not answer: nothing can be accepted or read.",
    "gateway": "The gateway is stopping.",
}


class Readiness(Wire):
    """`ready`: all that was asked for is up. `accepting`: submits are taken. `down`: what is not up."""

    ready: bool
    accepting: bool
    down: list[str]


class Health:
    """The endpoints for probes and for Prometheus.

    `/readyz` answers 200 if store and broker are up, else 503 with a problem that names in `down` what is not. Both
    carry `accepting`: whether submits are taken, which needs the store alone. `?need=store` asks only for that, so a
    load balancer can keep a gateway in service while the broker is down.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._complaints = Complaints(_log)

    async def alive(self, request: Request) -> ASGIApp:
        return Reply(200, b'{"status":"ok"}')

    async def ready(self, request: Request) -> ASGIApp:
        needed = _needed(Parameters(request, {"need"}).all("need"))
        down = await self._down()
        facts = Readiness(ready=needed.isdisjoint(down), accepting={"store", "gateway"}.isdisjoint(down), down=down)
        if facts.ready:
            return Reply(200, facts.model_dump_json().encode())
        refusal = Rejected(ProblemCode.UNAVAILABLE, " ".join(self._detail(part) for part in down))
        return problem_reply(refusal, [retry_after(1)], facts.model_dump())

    async def metrics(self, request: Request) -> ASGIApp:
        no_parameters(request)
        body, media_type = await self._gateway.scrape(request.header(b"accept") or "")
        return Reply(200, body, [(b"cache-control", b"no-store")], media_type=media_type.encode())

    def _detail(self, part: str) -> str:
        return _DETAILS.get(part) or f"{lacks_broker(self._gateway.broker) or 'The broker was down'}: {_KEPT}"

    async def _down(self) -> list[str]:
        parts = ["gateway"] if self._gateway.draining else []
        try:
            await answered(self._gateway.store.ping())
        except StoreUnavailable as error:
            self._complaints.say("the store", f"not ready: {error}")
            parts.append("store")
        else:
            self._complaints.settle("the store")
        if lacks_broker(self._gateway.broker) is not None:
            parts.append("broker")
        return parts


def _needed(asked: list[str]) -> set[str]:
    for part in asked:
        if part not in _PARTS:
            raise invalid("need", f"{part!r} is not a part of readiness. Known: {', '.join(_PARTS)}.")
    return {"gateway", *(asked or _PARTS)}
