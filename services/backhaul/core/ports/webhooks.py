"""The part of the store that keeps webhooks: endpoints, and deliveries on their way to them.

A delivery is made in the transaction that records its event, so none is lost. It may be sent more than once: a notifier
may die between the receiver's answer and its own note of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from backhaul.core.task.record import RawJson
from backhaul_contracts.ids import TaskId


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A registered receiver of a tenant's events. `disabled`: why nothing is sent, or None.

    Secrets are sealed. `retired_secret` is the one that was replaced: until `retired_until` it signs along."""

    id: str
    tenant: str
    url: str
    events: tuple[str, ...]
    description: str | None
    secret: str
    created_at: datetime
    disabled: str | None = None
    retired_secret: str | None = None
    retired_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one receiver, as lists show it. `tries` is a JSON array, the oldest first.

    `disabled`: why nothing is sent to its endpoint, or None."""

    id: str
    tenant: str
    endpoint_id: str | None
    task_id: TaskId | None
    event: str
    url: str
    state: DeliveryState
    tries: RawJson
    next_at: datetime | None
    created_at: datetime
    disabled: str | None = None


@dataclass(frozen=True, slots=True)
class Mail:
    """A delivery that is to be tried now, by who has taken it under `claim`.

    `tried`: how often it was tried since it was made or last asked for again. `secret` is sealed; None: the tenant's.
    `retired_secret`: sealed, too; it is to sign along.
    """

    id: str
    claim: str
    tenant: str
    target: str
    endpoint_id: str | None
    event: str
    url: str
    secret: str | None
    body: str
    tried: int
    created_at: datetime
    retired_secret: str | None = None
    traceparent: str | None = None
    """What its task is traced by."""


@dataclass(frozen=True, slots=True)
class Postmark:
    """What became of a mail. `attempt`: a JSON object for its log, or None if it was not tried.

    `next_in`: how long until it is tried again; None when it has ended in `state`. `gone`: the receiver wants no more,
    so its endpoint is disabled, if the mail is still under its claim.
    """

    id: str
    claim: str
    state: DeliveryState
    tried: int
    attempt: RawJson | None = None
    next_in: timedelta | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class DeliveryQuery:
    """Deliveries of one endpoint or of one task, newest first; `before` continues a page (exclusive)."""

    tenant: str
    endpoint_id: str | None = None
    task_id: TaskId | None = None
    before: str | None = None
    limit: int = 50


class WebhookStore(Protocol):
    """What `backhaul.core.ports.store` says of every method holds here too."""

    async def tenant_secret(self, tenant: str, proposal: str) -> str:
        """The sealed secret that signs what has none of its own: `proposal`, unless the tenant has one already."""
        ...

    async def add_endpoint(self, endpoint: Endpoint, most: int) -> bool:
        """From now on the tenant's events go there, too; unless it has `most` others already: false. Repeated, it
        changes nothing."""
        ...

    async def endpoint(self, tenant: str, endpoint_id: str) -> Endpoint | None: ...

    async def endpoints(self, tenant: str, before: str | None, limit: int) -> list[Endpoint]:
        """Newest first; `before` continues a page."""
        ...

    async def change_endpoint(
        self, tenant: str, endpoint_id: str, change: Callable[[Endpoint], Endpoint]
    ) -> Endpoint | None:
        """Keep what `change` makes of the endpoint, and return it; None if there is none. Nobody else changes it in
        between. What is on its way to one that is disabled has failed. `change` is pure, since it may be called again.
        """
        ...

    async def remove_endpoint(self, tenant: str, endpoint_id: str) -> bool:
        """Forget it and all its deliveries; false if there is none."""
        ...

    async def add_delivery(self, delivery: Delivery, body: str) -> None:
        """A delivery to an endpoint that follows from no event: a test."""
        ...

    async def deliveries(self, query: DeliveryQuery) -> list[Delivery]: ...

    async def redeliver(self, query: DeliveryQuery, delivery_id: str) -> Delivery | None:
        """Try this delivery, one of those of `query`, again from the beginning of the schedule, beginning now; unless
        its endpoint is disabled. None if there is none."""
        ...

    async def take_mail(self, room: int, most: Mapping[str, int], usual: int, lease: timedelta) -> list[Mail]:
        """Up to `room` deliveries that are due, tenants in turn and of each the oldest targets first, for this caller
        alone until `lease` is over.

        Of one target no more than `most` says, or `usual` if it says nothing."""
        ...

    async def note_mail(self, postmarks: Sequence[Postmark]) -> None:
        """Note what became of mails, each as long as it is still under its claim."""
        ...

    async def purge_deliveries(self, age: timedelta, limit: int) -> int:
        """Delete up to `limit` deliveries that ended longer than `age` ago; returns how many."""
        ...
