"""Run by Alembic, with the connection that `backhaul.store.versions` hands in: one transaction for all migrations."""

from alembic import context
from sqlalchemy import text

from backhaul.store.schema import METADATA
from backhaul.store.versions import TABLE

_LOCK = 7_523_094_022

connection = context.config.attributes["connection"]
if connection.dialect.name == "postgresql":
    # Several processes may be told to upgrade at once: one does, and the others find it done.
    connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
context.configure(
    connection=connection,
    target_metadata=METADATA,
    version_table=TABLE,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
