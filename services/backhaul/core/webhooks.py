"""Webhooks: which are allowed, how a task's own is kept, and who is told of an event. Pure."""

import secrets
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from yarl import URL

from backhaul.core.addresses import is_plainly_private
from backhaul.core.rendering import TaskParts, task_parts
from backhaul.core.sealing import Vault
from backhaul.core.task.record import Event, RawJson, Record
from backhaul_contracts import codec
from backhaul_contracts.events import EventType
from backhaul_contracts.ids import new_id
from backhaul_contracts.webhooks import SECRET_PREFIX, TaskWebhook
from backhaul_contracts.wire import Json, format_time

NO_KEY = (
    "This deployment has no BACKHAUL_SECRET_KEY, and so keeps no webhooks: set the same 32 or more random characters "
    "for every gateway, ledger and notifier."
)
_SECRET_BYTES = 32
_REFUSED = "The URL leads to a private address; BACKHAUL_WEBHOOK_ALLOW_PRIVATE would allow it."


def new_secret() -> str:
    """A random secret, as receivers are given it."""
    return SECRET_PREFIX + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


class WebhookRules:
    """What may be a webhook here. Without a `secret_key` nothing may: what is sent could not be signed."""

    def __init__(self, secret_key: str | None = None, *, allow_private: bool = False) -> None:
        self.vault = None if secret_key is None else Vault(secret_key)
        self._allow_private = allow_private

    def fault(self, url: str) -> str | None:
        """Why nothing can be sent to `url`, or None. A name may yet turn out to be private when it is resolved."""
        if self.vault is None:
            return NO_KEY
        if not self._allow_private and is_plainly_private(URL(url).host or ""):
            return _REFUSED
        return None

    def kept(self, webhook: TaskWebhook) -> RawJson:
        """A task's own webhook as it stands in the store: its secret sealed."""
        if self.vault is None:
            raise ValueError(NO_KEY)
        sealed = None if webhook.secret is None else self.vault.seal(webhook.secret)
        return RawJson(codec.dumps({"url": webhook.url, "events": webhook.events, "secret": sealed}).decode())

    def opened(self, kept: RawJson | None) -> Json:
        """The webhook as its client wrote it."""
        if kept is None or self.vault is None:
            return None
        webhook = codec.loads(kept)
        return {**webhook, "secret": webhook["secret"] and self.vault.open(webhook["secret"])}


@dataclass(frozen=True, slots=True)
class Receiver:
    """An endpoint that is to be told of events of its tenant."""

    endpoint_id: str
    events: frozenset[str]


@dataclass(frozen=True, slots=True)
class Notice:
    """One event for one receiver, as it was recorded; the payloads of the task belong between the parts.

    `target` is what its receiver has in common with other notices: the endpoint, or the origin of a task's own URL.
    """

    id: str
    record: Record
    event: Event
    target: str
    endpoint_id: str | None
    url: str | None
    secret: str | None
    parts: TaskParts


def notices(happened: Sequence[tuple[Record, Event]], receivers: Mapping[str, Sequence[Receiver]]) -> list[Notice]:
    """Who is to be told of what. `receivers` are the enabled endpoints of each tenant."""
    return [notice for record, event in happened for notice in _of(record, event, receivers.get(record.tenant, ()))]


def _of(record: Record, event: Event, receivers: Sequence[Receiver]) -> list[Notice]:
    found = [
        _notice(record, event, receiver.endpoint_id, endpoint_id=receiver.endpoint_id)
        for receiver in receivers
        if event.type in receiver.events
    ]
    if record.webhook is not None:
        own: dict[str, Any] = codec.loads(record.webhook)
        if event.type in own["events"]:
            found.append(_notice(record, event, origin(own["url"]), url=own["url"], secret=own["secret"]))
    return found


def _notice(
    record: Record,
    event: Event,
    target: str,
    *,
    endpoint_id: str | None = None,
    url: str | None = None,
    secret: str | None = None,
) -> Notice:
    parts = task_parts(record)
    head = f'{{"type":"{event.type}","timestamp":"{format_time(event.time)}","data":{parts.head}'
    whole = TaskParts(head, parts.middle, f"{parts.tail}}}")
    return Notice(new_id("whd"), record, event, target, endpoint_id, url, secret, whole)


def origin(url: str) -> str:
    """Scheme, host and port of a URL (RFC 6454)."""
    return str(URL(url).origin())


def event_names(events: Sequence[EventType]) -> str:
    """A selection of events as it is kept."""
    return codec.dumps([str(type_) for type_ in events]).decode()
