"""Who does the work: `/v1/workers`, and asking one of them to leave."""

import logging

from starlette.types import ASGIApp

from backhaul.core.errors import Rejected
from backhaul.core.rendering import page_json
from backhaul.gateway.api.steering import Nothing
from backhaul.gateway.gateway import Gateway
from backhaul.gateway.http.queries import no_parameters
from backhaul.gateway.http.replies import Reply
from backhaul.gateway.http.request import Request, parsed
from backhaul.gateway.patience import answered
from backhaul_contracts.problems import ProblemCode

_log = logging.getLogger("backhaul.gateway")


class Workers:
    """The endpoints for workers."""

    def __init__(self, gateway: Gateway) -> None:
        self._store = gateway.store

    async def list_workers(self, request: Request) -> ASGIApp:
        no_parameters(request)
        found = await answered(self._store.workers())
        return Reply(200, page_json((worker.model_dump_json() for worker in found), None))

    async def drain_worker(self, request: Request) -> ASGIApp:
        no_parameters(request)
        parsed(Nothing, await request.optional_json())
        worker_id = request.path("worker_id")
        found = {worker.id: worker for worker in await answered(self._store.workers())}
        if worker_id not in found:
            raise Rejected(ProblemCode.NOT_FOUND, f"There is no worker {worker_id!r}: it has left, or never was.")
        await answered(self._store.drain(worker_id))
        _log.info("worker %s is asked to drain", worker_id)
        worker = found[worker_id]
        state = worker.state if worker.state == "lost" else "draining"
        return Reply(202, worker.model_copy(update={"state": state}).model_dump_json().encode())
