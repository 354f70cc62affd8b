"""What the user of a PostgreSQL database may do with our tables."""

from sqlalchemy import Connection, text

from backhaul.store import versions
from backhaul.store.schema import METADATA

GRANT = (
    "GRANT to it USAGE ON SCHEMA public, SELECT, INSERT, UPDATE, DELETE ON ALL TABLES and USAGE ON ALL SEQUENCES there"
)
_WORK = ("SELECT", "INSERT", "UPDATE", "DELETE")

_MAY = text(
    "SELECT bool_and(has_table_privilege(to_regclass(:name), privilege))"
    " FROM unnest(CAST(:privileges AS text[])) AS privilege"
)
_COUNTERS = text(
    "SELECT sequence FROM unnest(CAST(:names AS text[])) AS name,"
    " pg_get_serial_sequence(name, 'id') AS sequence"
    " WHERE sequence IS NOT NULL AND NOT has_sequence_privilege(sequence, 'USAGE')"
)


def misfit(connection: Connection) -> str | None:
    """As `versions.misfit`, also of a database in which this user may do too little."""
    if connection.scalar(text("SELECT current_schema() IS NULL")):
        return f"gives this user no schema to work in: {GRANT}"
    if _stands(connection, versions.TABLE) and not _may(connection, versions.TABLE, "SELECT"):
        return f"does not let this user read {versions.TABLE}: {GRANT}"
    found = versions.misfit(connection)
    if found is None and (names := forbidden(connection)):
        others = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        return f"does not let this user read and write {names[0]}{others}: {GRANT}"
    return found


def forbidden(connection: Connection) -> tuple[str, ...]:
    """The tables that this user may not read and write, and the sequences it may not use. A name is looked up as
    statements find it, by the search path."""
    names = sorted(METADATA.tables)
    counted = [name for name in names if "id" in METADATA.tables[name].c]
    counters = connection.scalars(_COUNTERS, {"names": counted})
    return (*(name for name in names if not _may(connection, name, *_WORK)), *counters)


def _stands(connection: Connection, table: str) -> bool:
    return bool(connection.scalar(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": table}))


def _may(connection: Connection, table: str, *privileges: str) -> bool:
    return bool(connection.scalar(_MAY, {"name": table, "privileges": list(privileges)}))
