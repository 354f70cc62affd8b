"""What was sent: the deliveries of an endpoint or of a task, listed and sent again."""

import logging

from starlette.types import ASGIApp

from backhaul.core.errors import Rejected
from backhaul.core.ports.webhooks import DeliveryQuery
from backhaul.core.rendering import page_json
from backhaul.gateway.api.deliveries import PREFIX, delivery_json
from backhaul.gateway.api.endpoints import MOST, named_endpoint, refuse_disabled
from backhaul.gateway.api.steering import Nothing
from backhaul.gateway.gateway import Gateway
from backhaul.gateway.http.queries import Parameters, cursor_behind, integer, no_parameters, position_of
from backhaul.gateway.http.replies import Reply
from backhaul.gateway.http.request import Request, parsed, tenant_of
from backhaul.gateway.patience import answered
from backhaul_contracts.ids import TaskId, is_task_id
from backhaul_contracts.problems import ProblemCode

_log = logging.getLogger("backhaul.gateway")


class Sent:
    """The endpoints for deliveries. A task that is no longer kept may still have some."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._store = gateway.store

    async def endpoint_deliveries(self, request: Request) -> ASGIApp:
        endpoint = await named_endpoint(self._gateway, request)
        return await self._page(request, DeliveryQuery(endpoint.tenant, endpoint_id=endpoint.id))

    async def task_deliveries(self, request: Request) -> ASGIApp:
        return await self._page(request, self._of_task(request))

    async def redeliver_to_endpoint(self, request: Request) -> ASGIApp:
        endpoint = await named_endpoint(self._gateway, request)
        return await self._again(request, DeliveryQuery(endpoint.tenant, endpoint_id=endpoint.id))

    async def redeliver_of_task(self, request: Request) -> ASGIApp:
        return await self._again(request, self._of_task(request))

    def _of_task(self, request: Request) -> DeliveryQuery:
        task_id = request.path("task_id")
        if not is_task_id(task_id):
            raise self._gateway.lookup.missing(task_id)
        return DeliveryQuery(tenant_of(request), task_id=TaskId(task_id))

    async def _page(self, request: Request, scope: DeliveryQuery) -> Reply:
        parameters = Parameters(request, {"limit", "cursor"})
        limit = parameters.read("limit", integer(1, MOST)) or MOST // 2
        before = parameters.read("cursor", position_of(PREFIX))
        query = DeliveryQuery(scope.tenant, scope.endpoint_id, scope.task_id, before, limit + 1)
        found = await answered(self._store.deliveries(query))
        if not found and scope.task_id is not None:
            await self._gateway.lookup.task(scope.tenant, scope.task_id)  # says why there is nothing
        cursor = cursor_behind(found[limit - 1].id) if len(found) > limit else None
        return Reply(200, page_json(map(delivery_json, found[:limit]), cursor))

    async def _again(self, request: Request, scope: DeliveryQuery) -> Reply:
        no_parameters(request)
        parsed(Nothing, await request.optional_json())
        delivery_id = request.path("delivery_id")
        delivery = await answered(self._store.redeliver(scope, delivery_id))
        if delivery is None:
            raise Rejected(ProblemCode.NOT_FOUND, f"There is no delivery {delivery_id!r} here.")
        refuse_disabled(delivery.endpoint_id, delivery.disabled)
        _log.info("delivery %s of tenant %s is sent again", delivery.id, delivery.tenant)
        return Reply(202, delivery_json(delivery).encode())
