"""Webhooks: what a client asks for, and what became of it. On the wire they follow Standard Webhooks, version 1."""

import binascii
from base64 import b64decode
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, AnyHttpUrl, Field, StringConstraints, TypeAdapter, ValidationError

from backhaul_contracts.events import TERMINAL_EVENTS, EventType
from backhaul_contracts.wire import Duration, Moment, Strict, Text, Wire

DEFAULT_EVENTS = tuple(type_ for type_ in EventType if type_ in TERMINAL_EVENTS)
"""What a webhook tells if nothing else is asked for: how the task ended."""
TEST_EVENT = "webhook.test"
SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix, not a secret

_LONGEST_URL = 2_000
_SECRET_BYTES = range(24, 65)
_URL: TypeAdapter[AnyHttpUrl] = TypeAdapter(AnyHttpUrl)


def _written(text: str) -> str:
    try:
        url = _URL.validate_python(text)
    except ValidationError as error:
        raise ValueError(error.errors(include_url=False)[0]["msg"]) from error
    if url.username or url.password:
        raise ValueError("a URL with a user or password would show it in lists and logs: sign and verify instead")
    if url.fragment:
        raise ValueError("a fragment (#…) never reaches a server")
    return str(url)


def _public(types: tuple[EventType, ...]) -> tuple[EventType, ...]:
    for type_ in types:
        if not type_.public:
            raise ValueError(f"{type_} comes too often for a webhook: follow the task's event stream")
    return tuple(dict.fromkeys(types))


def _secret(text: str) -> str:
    try:
        key = b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not text.startswith(SECRET_PREFIX) or len(key) not in _SECRET_BYTES:
        raise ValueError("a secret is whsec_ and the Base64 of 24 to 64 random bytes")
    return text


WebhookUrl = Annotated[
    Text,
    StringConstraints(max_length=_LONGEST_URL),
    AfterValidator(_written),
    Field(json_schema_extra={"format": "uri"}),
]
"""An `http` or `https` URL, written as a browser would send it (WHATWG): so no spelling hides an address."""
WebhookEvents = Annotated[
    tuple[EventType, ...], Field(min_length=1, max_length=len(EventType)), AfterValidator(_public)
]
WebhookSecret = Annotated[Text, AfterValidator(_secret)]


class TaskWebhook(Strict):
    """Where the events of one task go. `secret` is never shown again; without one, the tenant's signs."""

    url: WebhookUrl
    events: WebhookEvents = DEFAULT_EVENTS
    secret: WebhookSecret | None = Field(default=None, repr=False)


class NewWebhookEndpoint(Strict):
    """Where the events of all tasks of a tenant go."""

    url: WebhookUrl
    events: WebhookEvents = DEFAULT_EVENTS
    description: Text | None = Field(default=None, max_length=1000)


class ChangedWebhookEndpoint(Strict):
    """What is to be different from now on. What is left out stays."""

    url: WebhookUrl | None = None
    events: WebhookEvents | None = None
    description: Text | None = Field(default=None, max_length=1000)
    enabled: bool | None = Field(default=None, strict=True)


class RotatedWebhookSecret(Strict):
    """How long the old secret still signs beside the new one: until then receivers may verify with either."""

    overlap: Duration = Field(default=timedelta(days=1), ge=timedelta(0), le=timedelta(days=7))


class WebhookEndpoint(Wire):
    """A registered endpoint. `secret` is shown once, in the answer that makes it.

    `disabled_reason`: `gone` (it answered 410) or `asked`; null while it is enabled. `old_secret_until`: how long the
    secret that was replaced signs along; null if none does.
    """

    id: str
    url: str
    events: list[EventType]
    description: str | None = None
    enabled: bool
    disabled_reason: Literal["gone", "asked"] | None = None
    created_at: Moment
    old_secret_until: Moment | None = None
    secret: str | None = Field(default=None, repr=False)


class WebhookEndpointPage(Wire):
    data: list[WebhookEndpoint]
    next_cursor: str | None = None


class WebhookAttempt(Wire):
    """One try: the `status` that came back, or null and the `error` that kept one from coming."""

    at: Moment
    status: int | None = None
    error: str | None = None
    duration_ms: int


class WebhookDelivery(Wire):
    """One event on its way to one receiver; `id` is its `webhook-id`. `next_at` is when it is tried next."""

    id: str
    event: str
    task_id: str | None = None
    endpoint_id: str | None = None
    url: str
    attempts: list[WebhookAttempt]
    state: Literal["pending", "delivered", "failed"]
    next_at: Moment | None = None
    created_at: Moment


class WebhookDeliveryPage(Wire):
    data: list[WebhookDelivery]
    next_cursor: str | None = None
