"""Kinds: what services have announced."""

from collections.abc import Sequence

from sqlalchemy import Connection, Text, select, true
from sqlalchemy.dialects.postgresql import insert

from backhaul.store.functions import store_now
from backhaul.store.recordset import Recordset
from backhaul.store.schema import kinds
from backhaul_contracts.kinds import KindSpec

_given = Recordset("kinds", kind=Text, version=Text, spec=Text)
_new = insert(kinds).excluded
_ANNOUNCE = (
    insert(kinds)
    .from_select(
        ["kind", "version", "announced_at", "spec"],
        select(_given.c.kind, _given.c.version, store_now(), _given.c.spec).where(true()),
    )
    .on_conflict_do_update(
        index_elements=[kinds.c.kind, kinds.c.version],
        set_={"announced_at": _new.announced_at, "spec": _new.spec},
    )
)
_KINDS = select(kinds.c.spec).order_by(kinds.c.kind, kinds.c.announced_at, kinds.c.version)


def announce(connection: Connection, specs: Sequence[KindSpec]) -> None:
    """See `Store.announce`."""
    latest = {(spec.kind, spec.version): spec for spec in specs}
    given = [
        {"kind": kind, "version": version, "spec": spec.model_dump_json()}
        for (kind, version), spec in sorted(latest.items())
    ]
    if given:
        connection.execute(_ANNOUNCE, _given.rows(given))


def read_kinds(connection: Connection) -> list[KindSpec]:
    """See `Store.kinds`. The latest version is the one announced last: some worker that speaks it has just started."""
    specs = [KindSpec.model_validate_json(text) for text in connection.scalars(_KINDS)]
    return list({spec.kind: spec for spec in specs}.values())
