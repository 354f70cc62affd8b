"""Endpoints: registered receivers of webhooks, the secrets that sign, and the deliveries as lists show them."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, Select, bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from backhaul.core.clock import from_ms, to_ms
from backhaul.core.ports.webhooks import Delivery, DeliveryQuery, DeliveryState, Endpoint
from backhaul.core.task.record import RawJson
from backhaul.store.functions import store_now
from backhaul.store.mailing import MOST_AT_ONCE
from backhaul.store.schema import IS_PENDING, deliveries, endpoints, tenant_secrets
from backhaul.store.times import milliseconds
from backhaul_contracts import codec
from backhaul_contracts.ids import TaskId

_PROPOSE = insert(tenant_secrets).on_conflict_do_nothing()
_SECRET = select(tenant_secrets.c.secret).where(tenant_secrets.c.tenant == bindparam("of"))
_ADD = insert(endpoints).on_conflict_do_nothing()
_OF_TENANT = select(endpoints).where(endpoints.c.tenant == bindparam("of"))
_ENDPOINT = _OF_TENANT.where(endpoints.c.id == bindparam("named"))
_HELD = _ENDPOINT.with_for_update()
_this = (endpoints.c.tenant == bindparam("of")) & (endpoints.c.id == bindparam("named"))
_OTHERS = select(endpoints.c.id).where(endpoints.c.tenant == bindparam("of"), endpoints.c.id != bindparam("named"))
_CHANGED = ("url", "events", "description", "secret", "retired_secret", "retired_until", "disabled")
_SET = update(endpoints).where(_this).values({name: bindparam(f"new_{name}") for name in _CHANGED})
_REMOVE = delete(endpoints).where(_this)
_its = deliveries.c.endpoint_id == bindparam("named")
_some = select(deliveries.c.id).where(_its).limit(MOST_AT_ONCE)
_pending = (  # along the index of what is due: an endpoint is the target of what goes there
    select(deliveries.c.id).where(IS_PENDING, deliveries.c.target == bindparam("named")).limit(MOST_AT_ONCE)
)
_REMOVE_ITS = delete(deliveries).where(deliveries.c.id.in_(_some))
_FAIL_ITS = (
    update(deliveries)
    .where(IS_PENDING, deliveries.c.id.in_(_pending))
    .values(state=str(DeliveryState.FAILED), next_at=None, claim=None, ended_at=store_now())
)
_ADD_DELIVERY = insert(deliveries).on_conflict_do_nothing()
_SHOWN = select(
    deliveries.c.id,
    deliveries.c.tenant,
    deliveries.c.endpoint_id,
    deliveries.c.task_id,
    deliveries.c.event,
    func.coalesce(deliveries.c.url, endpoints.c.url).label("url"),
    deliveries.c.state,
    deliveries.c.tries,
    deliveries.c.next_at,
    deliveries.c.created_at,
    endpoints.c.disabled,
).join_from(deliveries, endpoints, deliveries.c.endpoint_id == endpoints.c.id, isouter=True)
_AGAIN = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("named"))
    .values(state=str(DeliveryState.PENDING), tried=0, claim=None, next_at=store_now(), ended_at=None)
)


def tenant_secret(connection: Connection, tenant: str, proposal: str) -> str:
    """See `WebhookStore.tenant_secret`."""
    connection.execute(_PROPOSE, {"tenant": tenant, "secret": proposal})
    return str(connection.execute(_SECRET, {"of": tenant}).scalar_one())


def add(connection: Connection, endpoint: Endpoint, most: int) -> bool:
    """See `WebhookStore.add_endpoint`."""
    others = {"of": endpoint.tenant, "named": endpoint.id}
    connection.execute(_OTHERS.with_for_update(), others).all()  # who adds, too, waits, and then counts this one
    if len(connection.execute(_OTHERS, others).all()) >= most:
        return False
    row = {"id": endpoint.id, "tenant": endpoint.tenant, **_changeable(endpoint)}
    connection.execute(_ADD, {**row, "created_at": to_ms(endpoint.created_at)})
    return True


def _changeable(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "url": endpoint.url,
        "events": codec.dumps(list(endpoint.events)).decode(),
        "description": endpoint.description,
        "secret": endpoint.secret,
        "retired_secret": endpoint.retired_secret,
        "retired_until": milliseconds(endpoint.retired_until),
        "disabled": endpoint.disabled,
    }


def endpoint(connection: Connection, tenant: str, endpoint_id: str) -> Endpoint | None:
    """See `WebhookStore.endpoint`."""
    row = connection.execute(_ENDPOINT, {"of": tenant, "named": endpoint_id}).first()
    return None if row is None else _endpoint(row)


def page(connection: Connection, tenant: str, before: str | None, limit: int) -> list[Endpoint]:
    """See `WebhookStore.endpoints`."""
    statement = _newest(_OF_TENANT, endpoints.c.id, before)
    return [_endpoint(row) for row in connection.execute(statement, {"of": tenant, "before": before, "most": limit})]


def _newest(statement: Select[Any], id_: ColumnElement[str], before: str | None) -> Select[Any]:
    behind = statement if before is None else statement.where(id_ < bindparam("before"))
    return behind.order_by(id_.desc()).limit(bindparam("most", type_=Integer))


def _endpoint(row: Any) -> Endpoint:
    return Endpoint(
        id=row.id,
        tenant=row.tenant,
        url=row.url,
        events=tuple(codec.loads(row.events)),
        description=row.description,
        secret=row.secret,
        created_at=from_ms(row.created_at),
        disabled=row.disabled,
        retired_secret=row.retired_secret,
        retired_until=None if row.retired_until is None else from_ms(row.retired_until),
    )


def change(
    connection: Connection, tenant: str, endpoint_id: str, to: Callable[[Endpoint], Endpoint]
) -> Endpoint | None:
    """See `WebhookStore.change_endpoint`."""
    named = {"of": tenant, "named": endpoint_id}
    row = connection.execute(_HELD, named).first()
    if row is None:
        return None
    changed = to(_endpoint(row))
    connection.execute(_SET, {**named, **{f"new_{name}": value for name, value in _changeable(changed).items()}})
    if changed.disabled is not None:
        connection.execute(_FAIL_ITS, {"named": endpoint_id})
    return changed


def remove(connection: Connection, tenant: str, endpoint_id: str) -> bool:
    """See `WebhookStore.remove_endpoint`."""
    found = connection.execute(_REMOVE, {"of": tenant, "named": endpoint_id}).rowcount > 0
    if found:
        connection.execute(_REMOVE_ITS, {"named": endpoint_id})
    return found


def add_delivery(connection: Connection, delivery: Delivery, body: str) -> None:
    """See `WebhookStore.add_delivery`."""
    row = {
        "id": delivery.id,
        "tenant": delivery.tenant,
        "target": delivery.endpoint_id,
        "endpoint_id": delivery.endpoint_id,
        "event": delivery.event,
        "body": body,
        "created_at": to_ms(delivery.created_at),
        "next_at": milliseconds(delivery.next_at),
    }
    connection.execute(_ADD_DELIVERY, row)


def deliveries_of(connection: Connection, query: DeliveryQuery) -> list[Delivery]:
    """See `WebhookStore.deliveries`."""
    statement = _newest(_SHOWN.where(*_wanted(query)), deliveries.c.id, query.before)
    parameters = {"before": query.before, "most": query.limit}
    return [_delivery(row) for row in connection.execute(statement, parameters)]


def redeliver(connection: Connection, query: DeliveryQuery, delivery_id: str) -> Delivery | None:
    """See `WebhookStore.redeliver`."""
    statement = _SHOWN.where(*_wanted(query), deliveries.c.id == bindparam("named"))
    row = connection.execute(statement, {"named": delivery_id}).first()
    if row is not None and row.disabled is None:
        connection.execute(_AGAIN, {"named": delivery_id})
        row = connection.execute(statement, {"named": delivery_id}).first()
    return None if row is None else _delivery(row)


def _wanted(query: DeliveryQuery) -> Sequence[ColumnElement[bool]]:
    given = {"tenant": query.tenant, "endpoint_id": query.endpoint_id, "task_id": query.task_id}
    return [deliveries.c[name] == value for name, value in given.items() if value is not None]


def _delivery(row: Any) -> Delivery:
    return Delivery(
        id=row.id,
        tenant=row.tenant,
        endpoint_id=row.endpoint_id,
        task_id=None if row.task_id is None else TaskId(row.task_id),
        event=row.event,
        url=row.url or "",
        state=DeliveryState(row.state),
        tries=RawJson(f"[{row.tries}]"),
        next_at=None if row.next_at is None else from_ms(row.next_at),
        created_at=from_ms(row.created_at),
        disabled=row.disabled,
    )
