"""Notifying: what has just been recorded becomes deliveries, in the same transaction.

The body is put together in the database, where the payloads are: a result of a megabyte makes no detour.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Text, func, insert, literal_column, select

from backhaul.core.ports.dispatch import Happening
from backhaul.core.webhooks import Notice, Receiver, notices
from backhaul.store.functions import store_now
from backhaul.store.recordset import Recordset
from backhaul.store.schema import IS_ENABLED, deliveries, endpoints, states, tasks
from backhaul_contracts import codec

_tenants = Recordset("tenants", tenant=Text)
_RECEIVERS = select(endpoints.c.tenant, endpoints.c.id, endpoints.c.events).join(
    _tenants.table, (endpoints.c.tenant == _tenants.c.tenant) & IS_ENABLED
)

_notices = Recordset(
    "notices",
    id=Text,
    tenant=Text,
    target=Text,
    endpoint_id=Text,
    task_id=Text,
    event=Text,
    url=Text,
    secret=Text,
    head=Text,
    middle=Text,
    tail=Text,
)
_COPIED = ("id", "tenant", "target", "endpoint_id", "task_id", "event", "url", "secret")
_RECORD = insert(deliveries).from_select(
    [*_COPIED, "next_at", "created_at", "body"],
    select(
        *(_notices.c[name] for name in _COPIED),
        store_now(),
        store_now(),
        _notices.c.head
        + tasks.c.input
        + _notices.c.middle
        + func.coalesce(states.c.result, literal_column("'null'"))
        + _notices.c.tail,
    )
    .join_from(_notices.table, tasks, tasks.c.id == _notices.c.task_id)
    .join(states, states.c.task_id == _notices.c.task_id),
)


def record(connection: Connection, happenings: Sequence[Happening], *, heard: bool) -> None:
    """Make the deliveries that follow from these events. `heard`: whether any tenant has endpoints."""
    if not heard and all(happening.record.webhook is None for happening in happenings):
        return
    receivers = _receivers(connection, {happening.record.tenant for happening in happenings}) if heard else {}
    found = notices([(happening.record, happening.event) for happening in happenings], receivers)
    if found:
        connection.execute(_RECORD, _notices.rows(map(_row, found)))


def _receivers(connection: Connection, tenants: Iterable[str]) -> dict[str, list[Receiver]]:
    found: dict[str, list[Receiver]] = {}
    for tenant, endpoint_id, events in connection.execute(_RECEIVERS, _tenants.values(sorted(tenants))):
        found.setdefault(tenant, []).append(Receiver(endpoint_id, frozenset(codec.loads(events))))
    return found


def _row(notice: Notice) -> dict[str, Any]:
    return {
        "id": notice.id,
        "tenant": notice.record.tenant,
        "target": notice.target,
        "endpoint_id": notice.endpoint_id,
        "task_id": notice.record.id,
        "event": notice.event.type,
        "url": notice.url,
        "secret": notice.secret,
        "head": notice.parts.head,
        "middle": notice.parts.middle,
        "tail": notice.parts.tail,
    }
