"""Webhooks: a task's own, registered endpoints, deliveries on their way, and the secrets that sign them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"

_WORD = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("tasks", sa.Column("webhook", sa.Text(), nullable=True))
    op.create_table(
        "endpoints",
        sa.Column("id", _WORD, primary_key=True),
        sa.Column("tenant", _WORD, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("description", sa.Text()),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled", sa.Text()),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", _WORD, primary_key=True),
        sa.Column("tenant", _WORD, nullable=False),
        sa.Column("target", _WORD, nullable=False),
        sa.Column("endpoint_id", _WORD),
        sa.Column("task_id", _WORD),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("url", sa.Text()),
        sa.Column("secret", sa.Text()),
        sa.Column("state", _WORD, nullable=False, server_default="pending"),
        sa.Column("tried", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("tries", sa.Text(), nullable=False, server_default=""),
        sa.Column("next_at", sa.BigInteger()),
        sa.Column("claim", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_table(
        "tenant_secrets",
        sa.Column("tenant", _WORD, primary_key=True),
        sa.Column("secret", sa.Text(), nullable=False),
    )
    _index("endpoints_of_tenant", "endpoints", ["tenant", "id"])
    _index("endpoints_enabled", "endpoints", ["tenant"], "disabled IS NULL")
    _index("deliveries_due", "deliveries", ["target", "next_at"], "state = 'pending'")
    _index("deliveries_of_endpoint", "deliveries", ["endpoint_id", "id"], "endpoint_id IS NOT NULL")
    _index("deliveries_of_task", "deliveries", ["task_id", "id"], "task_id IS NOT NULL")
    _index("deliveries_ended", "deliveries", ["ended_at"], "ended_at IS NOT NULL")


def _index(name: str, table: str, columns: list[str], where: str | None = None) -> None:
    condition = None if where is None else sa.text(where)
    op.create_index(name, table, columns, postgresql_where=condition, sqlite_where=condition)


def downgrade() -> None:
    op.drop_table("tenant_secrets")
    op.drop_table("deliveries")
    op.drop_table("endpoints")
    op.drop_column("tasks", "webhook")
