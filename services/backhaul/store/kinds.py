"""Kinds: what services have announced, and what was refused."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, Text, delete, exists, select, true, update
from sqlalchemy.dialects.postgresql import insert

from backhaul.core.clock import from_ms
from backhaul.core.ports.store import KindId
from backhaul.core.schema.compatibility import breaks
from backhaul.store.functions import json_member, store_now
from backhaul.store.recordset import Recordset
from backhaul.store.schema import kinds
from backhaul_contracts import codec
from backhaul_contracts.kinds import KindSpec, RefusedKind
from backhaul_contracts.listings import RefusedAnnouncement

_DAY_MS = 24 * 60 * 60 * 1000

_given = Recordset("kinds", kind=Text, version=Text, spec=Text)
_refused = Recordset("refused", kind=Text, version=Text, refusal=Text)
_new = insert(kinds).excluded
_values = insert(kinds).from_select(
    ["kind", "version", "announced_at", "spec"],
    select(_given.c.kind, _given.c.version, store_now(), _given.c.spec).where(true()),
)
_ADD = _values.on_conflict_do_nothing().returning(kinds.c.kind, kinds.c.version)
_ANNOUNCE = _values.on_conflict_do_update(
    index_elements=[kinds.c.kind, kinds.c.version],
    set_={"announced_at": _new.announced_at, "spec": _new.spec},
)
_BEFORE = (
    select(kinds.c.spec)
    .join(_given.table, (kinds.c.kind == _given.c.kind) & (kinds.c.version == _given.c.version))
    .order_by(kinds.c.kind, kinds.c.version)
    .with_for_update(of=kinds)
)
_ids = Recordset("ids", kind=Text, version=Text)
_REMOVE = delete(kinds).where(exists().where(kinds.c.kind == _ids.c.kind, kinds.c.version == _ids.c.version))
_REFUSE = (
    update(kinds)
    .where(kinds.c.kind == _refused.c.kind, kinds.c.version == _refused.c.version)
    .values(refused_at=store_now(), refusal=_refused.c.refusal)
)
_KINDS = select(kinds.c.spec).order_by(kinds.c.kind, kinds.c.announced_at, kinds.c.version)
_QUEUES = select(kinds.c.kind, json_member(kinds.c.spec, "queue")).order_by(
    kinds.c.kind, kinds.c.announced_at, kinds.c.version
)
_REFUSALS = (
    select(kinds.c.kind, kinds.c.version, kinds.c.refused_at, kinds.c.refusal)
    .where(kinds.c.refused_at > kinds.c.announced_at, kinds.c.refused_at > store_now() - _DAY_MS)
    .order_by(kinds.c.refused_at)
)


def announce(connection: Connection, specs: Sequence[KindSpec], anew: Collection[KindId]) -> list[RefusedKind]:
    """See `Store.announce`. Adding first makes who announces a kind for the first time wait for who does so too."""
    latest = {(spec.kind, spec.version): spec for spec in specs}
    given = [
        {"kind": kind, "version": version, "spec": spec.model_dump_json()}
        for (kind, version), spec in sorted(latest.items())
    ]
    added = [{"kind": kind, "version": version} for kind, version in connection.execute(_ADD, _given.rows(given))]
    known = [KindSpec.model_validate_json(text) for text in connection.scalars(_BEFORE, _given.rows(given))]
    compared = (_broken(before, latest[before.kind, before.version]) for before in known)
    broken = [one for one in compared if one is not None]
    refused = [one for one in broken if (one.kind, one.version) not in anew]
    if refused:
        rows = [_refusal_row(one, latest[one.kind, one.version]) for one in refused]
        connection.execute(_REFUSE, _refused.rows(rows))
        connection.execute(_REMOVE, _ids.rows(added))
    else:
        connection.execute(_ANNOUNCE, _given.rows(given))
    return broken


def _broken(before: KindSpec, now: KindSpec) -> RefusedKind | None:
    found = breaks(before, now)
    return RefusedKind(kind=now.kind, version=now.version, reason="; ".join(found)) if found else None


def _refusal_row(refused: RefusedKind, spec: KindSpec) -> dict[str, str]:
    told = {"service_version": spec.service_version, "reason": refused.reason}
    return {"kind": refused.kind, "version": refused.version, "refusal": codec.dumps(told).decode()}


def read_kinds(connection: Connection) -> list[KindSpec]:
    """See `Store.kinds`. The latest version is the one announced last: some worker that speaks it has just started."""
    specs = [KindSpec.model_validate_json(text) for text in connection.scalars(_KINDS)]
    return list({spec.kind: spec for spec in specs}.values())


def read_queues_of_kinds(connection: Connection) -> dict[str, str]:
    """The queue that the latest version of each kind waits in; no schema is read for it."""
    return dict(tuple(row) for row in connection.execute(_QUEUES))


def read_refusals(connection: Connection) -> dict[str, RefusedAnnouncement]:
    """See `Store.refusals`."""
    return {
        kind: RefusedAnnouncement(version=version, at=from_ms(at), **codec.loads(told.encode()))
        for kind, version, at, told in connection.execute(_REFUSALS)
    }
