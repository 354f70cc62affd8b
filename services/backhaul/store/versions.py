"""The version of the schema: found, compared with what this version of Backhaul needs, and brought there.

Alembic takes longer to import than a small database takes to make, so it is imported only to migrate one. An empty
database on SQLite is made from `schema` directly: a test holds that to what the migrations make.
"""

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, insert, inspect, select

from backhaul.core.errors import ConfigurationError
from backhaul.store.schema import METADATA

HEAD = "0008"
"""The first two digits are the generation: within one, migrations only add what older statements do without."""
GENERATION = "00"
"""The last generation that statements of this version fit. It runs ahead of that of `HEAD` in the version that no
longer uses what the next one takes away."""
TABLE = "backhaul_schema"

_schema = Table(
    TABLE,
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name=f"{TABLE}_pkc"),
)
"""Alembic's own table, as it would make it."""

_MIGRATIONS = Path(__file__).parent / "migrations"


def misfit(connection: Connection) -> str | None:
    """What is wrong with the schema and what to do, to stand behind the name of the database; None if it fits.

    One that a newer version of Backhaul has made fits up to the end of `GENERATION`.
    """
    found = current(connection)
    if found is None:
        return "holds no tables of Backhaul: run `backhaul db upgrade`"
    if found < HEAD:
        return f"has schema {found}, and this version needs {HEAD}: run `backhaul db upgrade`"
    return _beyond(found)


def _beyond(found: str) -> str | None:
    if found[: len(GENERATION)] <= GENERATION:
        return None
    return f"has schema {found}, and this version knows only {HEAD}: install the newer version of Backhaul"


def current(connection: Connection) -> str | None:
    """The version that the database is at; None before the first migration."""
    if not inspect(connection).has_table(TABLE):
        return None
    return connection.scalar(select(_schema.c.version_num))


def ensure(connection: Connection) -> None:
    """Bring an embedded database to the newest version; a new one at once, without Alembic."""
    found = current(connection)
    if found is None:
        create(connection)
    elif found != HEAD:
        migrate(connection)


def create(connection: Connection) -> None:
    """Make the newest schema in an empty database."""
    METADATA.create_all(connection)
    _schema.create(connection)
    connection.execute(insert(_schema).values(version_num=HEAD))


def migrate(connection: Connection) -> None:
    """Run every migration that the database has not seen. What a newer version has made is left alone, as long as it
    fits; else this raises `ConfigurationError`."""
    from alembic import command
    from alembic.config import Config

    found = current(connection)
    if found is not None and found > HEAD:
        if (why := _beyond(found)) is not None:
            raise ConfigurationError(f"the database {why}")
        return
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
