"""Webhook endpoints: registered, shown, changed, removed, and tested."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from starlette.types import ASGIApp

from backhaul.core.errors import Rejected
from backhaul.core.ports.webhooks import Delivery, DeliveryState, Endpoint
from backhaul.core.rendering import page_json
from backhaul.core.task.record import RawJson
from backhaul.core.webhooks import NO_KEY, new_secret
from backhaul.gateway.api.deliveries import delivery_json
from backhaul.gateway.api.steering import Nothing
from backhaul.gateway.gateway import Gateway
from backhaul.gateway.http.queries import Parameters, cursor_behind, integer, invalid, no_parameters, position_of
from backhaul.gateway.http.replies import Empty, Reply, header
from backhaul.gateway.http.request import Request, parsed, tenant_of
from backhaul.gateway.patience import answered
from backhaul_contracts import codec
from backhaul_contracts.ids import new_id
from backhaul_contracts.problems import ProblemCode
from backhaul_contracts.webhooks import (
    TEST_EVENT,
    ChangedWebhookEndpoint,
    NewWebhookEndpoint,
    RotatedWebhookSecret,
    WebhookEndpoint,
)
from backhaul_contracts.wire import format_time

_log = logging.getLogger("backhaul.gateway")

MOST = 100
MOST_OF_TENANT = 50
PREFIX = "whe"
_PATH = "/v1/webhook-endpoints"


class Endpoints:
    """What a tenant registers to hear of all its tasks."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._store = gateway.store
        self._rules = gateway.webhooks

    async def add_endpoint(self, request: Request) -> ASGIApp:
        no_parameters(request)
        wanted = parsed(NewWebhookEndpoint, await request.json())
        self._check(wanted.url)
        secret = new_secret()
        now = self._gateway.clock.now()
        made = Endpoint(
            id=new_id(PREFIX),
            tenant=tenant_of(request),
            url=wanted.url,
            events=wanted.events,
            description=wanted.description,
            secret=self._sealed(secret),
            created_at=now,
        )
        if not await answered(self._store.add_endpoint(made, MOST_OF_TENANT)):
            raise Rejected(
                ProblemCode.TOO_MANY_ENDPOINTS,
                f"Every event goes to each endpoint, so a tenant has no more than {MOST_OF_TENANT}: remove one.",
            )
        _log.info("webhook endpoint %s of tenant %s is registered", made.id, made.tenant)
        return Reply(201, _json_with(secret, made), [header(b"location", f"{_PATH}/{made.id}")])

    async def list_endpoints(self, request: Request) -> ASGIApp:
        parameters = Parameters(request, {"limit", "cursor"})
        limit = parameters.read("limit", integer(1, MOST)) or MOST // 2
        before = parameters.read("cursor", position_of(PREFIX))
        found = await answered(self._store.endpoints(tenant_of(request), before, limit + 1))
        cursor = cursor_behind(found[limit - 1].id) if len(found) > limit else None
        return Reply(200, page_json(map(_json, found[:limit]), cursor))

    async def endpoint(self, request: Request) -> ASGIApp:
        no_parameters(request)
        return Reply(200, _json(await self._named(request)).encode())

    async def change_endpoint(self, request: Request) -> ASGIApp:
        no_parameters(request)
        wanted = parsed(ChangedWebhookEndpoint, await request.json())
        if wanted.url is not None:
            self._check(wanted.url)
        changed = await self._change(request, lambda endpoint: _changed(endpoint, wanted))
        _log.info("webhook endpoint %s of tenant %s is changed", changed.id, changed.tenant)
        return Reply(200, _json(changed).encode())

    async def rotate_secret(self, request: Request) -> ASGIApp:
        no_parameters(request)
        wanted = parsed(RotatedWebhookSecret, await request.optional_json())
        secret = new_secret()
        sealed, until = self._sealed(secret), self._gateway.clock.now() + wanted.overlap
        changed = await self._change(request, lambda endpoint: _rotated(endpoint, sealed, until, wanted.overlap))
        _log.info("webhook endpoint %s of tenant %s has a new secret", changed.id, changed.tenant)
        return Reply(200, _json_with(secret, changed))

    async def _change(self, request: Request, change: Callable[[Endpoint], Endpoint]) -> Endpoint:
        endpoint_id = request.path("endpoint_id")
        changed = await answered(self._store.change_endpoint(tenant_of(request), endpoint_id, change))
        if changed is None:
            raise _missing(endpoint_id)
        return changed

    async def remove_endpoint(self, request: Request) -> ASGIApp:
        no_parameters(request)
        tenant, endpoint_id = tenant_of(request), request.path("endpoint_id")
        if not await answered(self._store.remove_endpoint(tenant, endpoint_id)):
            raise _missing(endpoint_id)
        _log.info("webhook endpoint %s of tenant %s is removed", endpoint_id, tenant)
        return Empty(204)

    async def test_endpoint(self, request: Request) -> ASGIApp:
        no_parameters(request)
        parsed(Nothing, await request.optional_json())
        endpoint = await self._named(request)
        refuse_disabled(endpoint.id, endpoint.disabled)
        delivery = self._test(endpoint)
        data = {"type": TEST_EVENT, "timestamp": format_time(delivery.created_at), "data": {"endpoint_id": endpoint.id}}
        await answered(self._store.add_delivery(delivery, codec.dumps(data).decode()))
        return Reply(202, delivery_json(delivery).encode())

    def _test(self, endpoint: Endpoint) -> Delivery:
        now = self._gateway.clock.now()
        return Delivery(
            id=new_id("whd"),
            tenant=endpoint.tenant,
            endpoint_id=endpoint.id,
            task_id=None,
            event=TEST_EVENT,
            url=endpoint.url,
            state=DeliveryState.PENDING,
            tries=RawJson("[]"),
            next_at=now,
            created_at=now,
        )

    def _check(self, url: str) -> None:
        if fault := self._rules.fault(url):
            raise invalid("url", fault)

    def _sealed(self, secret: str) -> str:
        if self._rules.vault is None:
            raise invalid("url", NO_KEY)
        return self._rules.vault.seal(secret)

    async def _named(self, request: Request) -> Endpoint:
        return await named_endpoint(self._gateway, request)


async def named_endpoint(gateway: Gateway, request: Request) -> Endpoint:
    """The endpoint that the path names. Raises `Rejected` (`not_found`); that of another tenant is as good as none."""
    endpoint_id = request.path("endpoint_id")
    found = await answered(gateway.store.endpoint(tenant_of(request), endpoint_id))
    if found is None:
        raise _missing(endpoint_id)
    return found


def refuse_disabled(endpoint_id: str | None, disabled: str | None) -> None:
    """Raises `Rejected` if nothing is sent there."""
    if disabled is not None:
        raise Rejected(
            ProblemCode.ENDPOINT_DISABLED,
            f"The endpoint {endpoint_id} is disabled ({disabled}): enable it with PATCH, then try again.",
        )


def shown(endpoint: Endpoint) -> WebhookEndpoint:
    """An endpoint as clients see it."""
    return WebhookEndpoint.model_validate(
        {
            "id": endpoint.id,
            "url": endpoint.url,
            "events": endpoint.events,
            "description": endpoint.description,
            "enabled": endpoint.disabled is None,
            "disabled_reason": endpoint.disabled,
            "created_at": endpoint.created_at,
            "old_secret_until": endpoint.retired_until,
        }
    )


def _json(endpoint: Endpoint) -> str:
    return shown(endpoint).model_dump_json(exclude={"secret"})


def _json_with(secret: str, endpoint: Endpoint) -> bytes:
    return shown(endpoint).model_copy(update={"secret": secret}).model_dump_json().encode()


def _rotated(endpoint: Endpoint, sealed: str, until: datetime, overlap: timedelta) -> Endpoint:
    return replace(
        endpoint,
        secret=sealed,
        retired_secret=endpoint.secret if overlap else None,
        retired_until=until if overlap else None,
    )


def _changed(endpoint: Endpoint, wanted: ChangedWebhookEndpoint) -> Endpoint:
    disabled = endpoint.disabled
    if wanted.enabled is not None:
        disabled = None if wanted.enabled else disabled or "asked"
    described = "description" in wanted.model_fields_set
    return replace(
        endpoint,
        url=wanted.url or endpoint.url,
        events=wanted.events or endpoint.events,
        description=wanted.description if described else endpoint.description,
        disabled=disabled,
    )


def _missing(endpoint_id: str) -> Rejected:
    return Rejected(ProblemCode.NOT_FOUND, f"There is no webhook endpoint {endpoint_id!r}.")
