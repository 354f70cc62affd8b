"""Webhook endpoints: where the events of all tasks of a tenant are sent, and what was sent."""

from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import TypedDict, Unpack
from urllib.parse import quote

from backhaul.client import answers
from backhaul.client.connection import Connection
from backhaul.client.pages import items
from backhaul.client.submission import Length, plain
from backhaul_contracts.webhooks import WebhookDelivery, WebhookDeliveryPage, WebhookEndpoint, WebhookEndpointPage

_PATH = "/v1/webhook-endpoints"


class EndpointChanges(TypedDict, total=False):
    """What is to be different at an endpoint. What is left out stays."""

    url: str
    events: Sequence[str]
    description: str | None
    enabled: bool


class AsyncWebhooks:
    """`client.webhooks`. Changes take a key with the scope `admin`. All raise `NotFound` for what is not there."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(
        self, url: str, *, events: Sequence[str] | None = None, description: str | None = None
    ) -> WebhookEndpoint:
        """A new endpoint. Its `secret`, which signs what it is sent, is told this once.

        `events`: default, how tasks end. Raises `InvalidRequest` for a URL that nothing may be sent to, and `Conflict`
        if there are as many as there may be.
        """
        given = {"url": url, "events": events, "description": description}
        body = {name: value for name, value in given.items() if value is not None}
        response = await self._connection.call("POST", _PATH, body=body, repeatable=False)
        return answers.value(WebhookEndpoint, response)

    def list(self, *, limit: int | None = None) -> AsyncGenerator[WebhookEndpoint]:
        """All endpoints, newest first, at most `limit`."""
        return items(self._connection, _PATH, partial(answers.value, WebhookEndpointPage), {}, limit)

    async def get(self, endpoint_id: str) -> WebhookEndpoint:
        return answers.value(WebhookEndpoint, await self._connection.call("GET", _endpoint(endpoint_id)))

    async def change(self, endpoint_id: str, **changes: Unpack[EndpointChanges]) -> WebhookEndpoint:
        """The endpoint as it is from now on. One that answered 410 is enabled again with `enabled=True`."""
        response = await self._connection.call("PATCH", _endpoint(endpoint_id), body=dict(changes))
        return answers.value(WebhookEndpoint, response)

    async def rotate_secret(self, endpoint_id: str, *, overlap: Length | None = None) -> WebhookEndpoint:
        """The endpoint with a new `secret`, which is told this once. The old one signs along for `overlap` (24 h)."""
        body = {} if overlap is None else {"overlap": plain(overlap)}
        path = f"{_endpoint(endpoint_id)}/rotate-secret"
        return answers.value(WebhookEndpoint, await self._connection.call("POST", path, body=body, repeatable=False))

    async def remove(self, endpoint_id: str) -> None:
        """Forget the endpoint, and what was sent to it."""
        await self._connection.call("DELETE", _endpoint(endpoint_id), repeatable=False)

    async def test(self, endpoint_id: str) -> WebhookDelivery:
        """Send a `webhook.test`, once. Raises `Conflict` if the endpoint is disabled."""
        response = await self._connection.call("POST", f"{_endpoint(endpoint_id)}/test", repeatable=False)
        return answers.value(WebhookDelivery, response)

    def deliveries(self, id: str, *, limit: int | None = None) -> AsyncGenerator[WebhookDelivery]:
        """What was sent to an endpoint, or of a task, newest first, at most `limit`."""
        path = f"{_owner(id)}/deliveries"
        return items(self._connection, path, partial(answers.value, WebhookDeliveryPage), {}, limit)

    async def redeliver(self, delivery: WebhookDelivery) -> WebhookDelivery:
        """Send it again: now, and then by the schedule from its beginning. Raises `Conflict` if its endpoint is
        disabled."""
        owner = _owner(delivery.endpoint_id or delivery.task_id or "")
        path = f"{owner}/deliveries/{quote(delivery.id, safe='')}/redeliver"
        return answers.value(WebhookDelivery, await self._connection.call("POST", path))


def _endpoint(endpoint_id: str) -> str:
    return f"{_PATH}/{quote(endpoint_id, safe='')}"


def _owner(id: str) -> str:
    return f"/v1/tasks/{quote(id, safe='')}" if id.startswith("tsk_") else _endpoint(id)
