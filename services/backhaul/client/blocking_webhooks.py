"""Webhook endpoints for programs without an event loop."""

from collections.abc import Iterator, Sequence
from typing import Unpack

from backhaul.client.loop_thread import LoopThread
from backhaul.client.submission import Length
from backhaul.client.webhooks import AsyncWebhooks, EndpointChanges
from backhaul_contracts.webhooks import WebhookDelivery, WebhookEndpoint


class BlockingWebhooks:
    """`client.webhooks`, as `AsyncWebhooks`; every call blocks."""

    def __init__(self, webhooks: AsyncWebhooks, thread: LoopThread) -> None:
        self._webhooks = webhooks
        self._thread = thread

    def add(self, url: str, *, events: Sequence[str] | None = None, description: str | None = None) -> WebhookEndpoint:
        """A new endpoint. Its `secret`, which signs what it is sent, is told this once.

        `events`: default, how tasks end. Raises `InvalidRequest` for a URL that nothing may be sent to, and `Conflict`
        if there are as many as there may be.
        """
        return self._thread.run(self._webhooks.add(url, events=events, description=description))

    def list(self, *, limit: int | None = None) -> Iterator[WebhookEndpoint]:
        """All endpoints, newest first, at most `limit`."""
        return self._thread.iterate(self._webhooks.list(limit=limit))

    def get(self, endpoint_id: str) -> WebhookEndpoint:
        return self._thread.run(self._webhooks.get(endpoint_id))

    def change(self, endpoint_id: str, **changes: Unpack[EndpointChanges]) -> WebhookEndpoint:
        """The endpoint as it is from now on. One that answered 410 is enabled again with `enabled=True`."""
        return self._thread.run(self._webhooks.change(endpoint_id, **changes))

    def rotate_secret(self, endpoint_id: str, *, overlap: Length | None = None) -> WebhookEndpoint:
        """The endpoint with a new `secret`, which is told this once. The old one signs along for `overlap` (24 h)."""
        return self._thread.run(self._webhooks.rotate_secret(endpoint_id, overlap=overlap))

    def remove(self, endpoint_id: str) -> None:
        """Forget the endpoint, and what was sent to it."""
        self._thread.run(self._webhooks.remove(endpoint_id))

    def test(self, endpoint_id: str) -> WebhookDelivery:
        """Send a `webhook.test`, once. Raises `Conflict` if the endpoint is disabled."""
        return self._thread.run(self._webhooks.test(endpoint_id))

    def deliveries(self, id: str, *, limit: int | None = None) -> Iterator[WebhookDelivery]:
        """What was sent to an endpoint, or of a task, newest first, at most `limit`."""
        return self._thread.iterate(self._webhooks.deliveries(id, limit=limit))

    def redeliver(self, delivery: WebhookDelivery) -> WebhookDelivery:
        """Send it again: now, and then by the schedule from its beginning. Raises `Conflict` if its endpoint is
        disabled."""
        return self._thread.run(self._webhooks.redeliver(delivery))
