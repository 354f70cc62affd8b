"""Where tasks wait: `/v1/queues`, and pausing and resuming one."""

import logging

from starlette.types import ASGIApp

from backhaul.core.errors import BrokerUnavailable, Rejected
from backhaul.core.messages.announcements import spare_tokens
from backhaul.core.rendering import page_json
from backhaul.gateway.api.steering import Nothing
from backhaul.gateway.gateway import Gateway
from backhaul.gateway.http.queries import no_parameters
from backhaul.gateway.http.replies import Reply
from backhaul.gateway.http.request import Request, parsed
from backhaul.gateway.patience import answered, carried
from backhaul_contracts.listings import QueueInfo
from backhaul_contracts.problems import ProblemCode

_log = logging.getLogger("backhaul.gateway")


class Queues:
    """The endpoints for queues."""

    def __init__(self, gateway: Gateway) -> None:
        self._store = gateway.store
        self._broker = gateway.broker

    async def list_queues(self, request: Request) -> ASGIApp:
        no_parameters(request)
        found = await answered(self._store.queues())
        return Reply(200, page_json((queue.model_dump_json() for queue in found), None))

    async def pause_queue(self, request: Request) -> ASGIApp:
        return Reply(200, (await self._set(request, paused=True)).model_dump_json().encode())

    async def resume_queue(self, request: Request) -> ASGIApp:
        queue = await self._set(request, paused=False)
        await self._invite(queue.name)
        return Reply(200, queue.model_dump_json().encode())

    async def _set(self, request: Request, *, paused: bool) -> QueueInfo:
        no_parameters(request)
        parsed(Nothing, await request.optional_json())
        name = request.path("name")
        found = {queue.name: queue for queue in await answered(self._store.queues())}
        if name not in found:
            known = f"Known: {', '.join(sorted(found))}." if found else "No service has announced one: start a worker."
            raise Rejected(ProblemCode.NOT_FOUND, f"There is no queue {name!r}. {known}")
        await answered(self._store.set_paused(name, paused))
        _log.info("queue %s is %s", name, "paused" if paused else "resumed")
        return found[name].model_copy(update={"paused": paused})

    async def _invite(self, queue: str) -> None:
        """Issue tokens for those that workers have dropped by now. While the broker is down, the ledger does."""
        waiting = (await answered(self._store.claimable())).get(queue, 0)
        if not waiting or not self._broker.connected:
            return
        try:
            await carried(self._broker.publish(spare_tokens(queue, waiting)))
        except BrokerUnavailable as error:
            _log.warning("queue %s is resumed, and its tokens are issued by the ledger: %s", queue, error)
