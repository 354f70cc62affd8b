"""What can be asked for: `/v1/kinds`."""

from collections import Counter
from collections.abc import Iterable, Mapping

from pydantic import BaseModel
from starlette.types import ASGIApp

from backhaul.core.rendering import page_json
from backhaul.gateway.gateway import Gateway
from backhaul.gateway.http.queries import no_parameters
from backhaul.gateway.http.replies import Reply
from backhaul.gateway.http.request import Request
from backhaul.gateway.patience import answered
from backhaul_contracts.kinds import KindSpec
from backhaul_contracts.listings import KindInfo, RefusedAnnouncement


class Kinds:
    """The endpoints that show kinds."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def list_kinds(self, request: Request) -> ASGIApp:
        no_parameters(request)
        specs = await answered(self._gateway.catalogue.kinds())
        alive, refusals = await self._alive(), await answered(self._gateway.store.refusals())
        return _page(_kind(spec, alive, refusals) for spec in specs)

    async def kind(self, request: Request) -> ASGIApp:
        no_parameters(request)
        spec = await answered(self._gateway.catalogue.kind(request.path("kind")))
        alive, refusals = await self._alive(), await answered(self._gateway.store.refusals())
        return Reply(200, _kind(spec, alive, refusals).model_dump_json().encode())

    async def _alive(self) -> Counter[str]:
        workers = await answered(self._gateway.store.workers())
        return Counter(worker.service for worker in workers if worker.state == "ready")


def _kind(spec: KindSpec, alive: Counter[str], refusals: Mapping[str, RefusedAnnouncement]) -> KindInfo:
    return KindInfo(
        kind=spec.kind,
        service=spec.service,
        version=spec.version,
        input_schema=spec.input_schema,
        result_schema=spec.result_schema,
        timeout=spec.timeout,
        retry=spec.retry,
        queue=spec.queue,
        workers=alive[spec.service],
        refused=refusals.get(spec.kind),
    )


def _page(views: Iterable[BaseModel]) -> Reply:
    return Reply(200, page_json((view.model_dump_json() for view in views), None))
