"""Mailing: deliveries that are due are taken by notifiers, each by one at a time, and what became of them is noted.

Who takes a delivery moves the time at which it is due behind its lease: so those of a notifier that has died come up
again by themselves. Of each target that is due (`duemail`) a few are taken, so that a long row to one delays no other.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from secrets import token_urlsafe
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Text,
    bindparam,
    case,
    delete,
    literal_column,
    select,
    update,
)

from backhaul.core.clock import from_ms
from backhaul.core.ports.webhooks import DeliveryState, Mail, Postmark
from backhaul.store.functions import store_now
from backhaul.store.recordset import Recordset
from backhaul.store.schema import IS_ENABLED, IS_PENDING, deliveries, endpoints, tasks
from backhaul.store.times import length_ms

MOST_AT_ONCE = 10_000
"""How many deliveries of an endpoint one statement ends: the rest is given up when it comes up."""

_now = select(store_now()).scalar_subquery()
_most = bindparam("most", type_=Integer)

OF_TARGET = (
    select(deliveries)
    .where(IS_PENDING, deliveries.c.target == bindparam("target", type_=Text), deliveries.c.next_at <= _now)
    .order_by(deliveries.c.next_at)
    .limit(_most)
    .with_for_update(skip_locked=True)
)
_ids = Recordset("delivery_ids", id=Text)
_ENDPOINTS = select(
    endpoints.c.id,
    endpoints.c.url,
    endpoints.c.secret,
    case((endpoints.c.retired_until > _now, endpoints.c.retired_secret)).label("retired_secret"),
).join(_ids.table, (endpoints.c.id == _ids.c.id) & IS_ENABLED)
_TRACED = select(tasks.c.id, tasks.c.traceparent).join(
    _ids.table, (tasks.c.id == _ids.c.id) & tasks.c.traceparent.is_not(None)
)
_TAKE = (
    update(deliveries)
    .where(deliveries.c.id.in_(select(_ids.c.id)))
    .values(
        claim=bindparam("given_claim", type_=Text),
        next_at=store_now() + bindparam("lease_ms", type_=BigInteger),
    )
)

_ended: dict[str, Any] = {
    "state": str(DeliveryState.FAILED),
    "next_at": None,
    "claim": None,
    "ended_at": store_now(),
}
_GIVE_UP = update(deliveries).where(IS_PENDING, deliveries.c.id.in_(select(_ids.c.id))).values(_ended)

_marks = Recordset("marks", id=Text, claim=Text, state=Text, tried=Integer, attempt=Text, next_ms=BigInteger)
_appended = case(
    (_marks.c.attempt.is_(None), deliveries.c.tries),
    (deliveries.c.tries == literal_column("''"), _marks.c.attempt),
    else_=deliveries.c.tries + literal_column("','") + _marks.c.attempt,
)
_NOTE = (
    update(deliveries)
    .where(deliveries.c.id == _marks.c.id, deliveries.c.claim == _marks.c.claim, IS_PENDING)
    .values(
        state=_marks.c.state,
        tried=_marks.c.tried,
        tries=_appended,
        claim=None,
        next_at=case((_marks.c.next_ms.is_(None), None), else_=store_now() + _marks.c.next_ms),
        ended_at=case((_marks.c.next_ms.is_(None), store_now()), else_=None),
    )
)
_GONE = select(deliveries.c.endpoint_id).join(
    _marks.table, (deliveries.c.id == _marks.c.id) & (deliveries.c.claim == _marks.c.claim) & IS_PENDING
)
_DISABLE = update(endpoints).where(endpoints.c.id.in_(select(_ids.c.id)), IS_ENABLED).values(disabled="gone")
_its = select(deliveries.c.id).where(IS_PENDING, deliveries.c.target.in_(select(_ids.c.id))).limit(MOST_AT_ONCE)
_FAIL = update(deliveries).where(IS_PENDING, deliveries.c.id.in_(_its)).values(_ended)

_over = (
    select(deliveries.c.id)
    .where(deliveries.c.ended_at <= _now - bindparam("age_ms", type_=BigInteger))
    .order_by(deliveries.c.ended_at)
    .limit(_most)
)
_PURGE = delete(deliveries).where(deliveries.c.id.in_(_over))


def take(
    connection: Connection, targets: Sequence[str], room: int, most: Mapping[str, int], usual: int, lease: timedelta
) -> list[Mail]:
    """See `WebhookStore.take_mail`."""
    rows: list[Any] = []
    for target in targets:
        limit = min(most.get(target, usual), room - len(rows))
        if limit > 0:
            rows += connection.execute(OF_TARGET, {"target": target, "most": limit}).all()
    if not rows:
        return []
    claim = token_urlsafe(12)
    taken = {"given_claim": claim, "lease_ms": length_ms(lease), **_ids.values(row.id for row in rows)}
    connection.execute(_TAKE, taken)
    mails = list(_mails(connection, rows, claim))
    if len(mails) < len(rows):  # recorded while their endpoint was disabled or removed
        sent = {mail.id for mail in mails}
        connection.execute(_GIVE_UP, _ids.values(row.id for row in rows if row.id not in sent))
    return mails


def _mails(connection: Connection, rows: Sequence[Any], claim: str) -> Iterator[Mail]:
    wanted = sorted({row.endpoint_id for row in rows if row.endpoint_id is not None})
    known = {row.id: row for row in connection.execute(_ENDPOINTS, _ids.values(wanted))} if wanted else {}
    traced = _traceparents(connection, [row.task_id for row in rows])
    for row in rows:
        receiver = row if row.endpoint_id is None else known.get(row.endpoint_id)
        if receiver is not None:
            yield Mail(
                id=row.id,
                claim=claim,
                tenant=row.tenant,
                target=row.target,
                endpoint_id=row.endpoint_id,
                event=row.event,
                url=receiver.url,
                secret=receiver.secret,
                body=row.body,
                tried=row.tried,
                created_at=from_ms(row.created_at),
                retired_secret=None if receiver is row else receiver.retired_secret,
                traceparent=traced.get(row.task_id),
            )


def _traceparents(connection: Connection, task_ids: Sequence[str | None]) -> dict[str | None, str]:
    """What these tasks are traced by, those that are."""
    known = sorted({task_id for task_id in task_ids if task_id is not None})
    return {row.id: row.traceparent for row in connection.execute(_TRACED, _ids.values(known))} if known else {}


def note(connection: Connection, postmarks: Sequence[Postmark]) -> None:
    """See `WebhookStore.note_mail`."""
    gone = [_mark(postmark) for postmark in postmarks if postmark.gone]
    unwilling = set(connection.execute(_GONE, _marks.rows(gone)).scalars()) - {None} if gone else set()
    connection.execute(_NOTE, _marks.rows(map(_mark, sorted(postmarks, key=lambda postmark: postmark.id))))
    if unwilling:
        connection.execute(_DISABLE, _ids.values(sorted(unwilling)))
        connection.execute(_FAIL, _ids.values(sorted(unwilling)))


def _mark(postmark: Postmark) -> dict[str, Any]:
    return {
        "id": postmark.id,
        "claim": postmark.claim,
        "state": postmark.state,
        "tried": postmark.tried,
        "attempt": postmark.attempt,
        "next_ms": None if postmark.next_in is None else length_ms(postmark.next_in),
    }


def purge(connection: Connection, age: timedelta, limit: int) -> int:
    """See `WebhookStore.purge_deliveries`."""
    return connection.execute(_PURGE, {"age_ms": length_ms(age), "most": limit}).rowcount
