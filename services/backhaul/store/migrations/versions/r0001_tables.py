"""Tasks, their states, log and metadata; the outbox; workers, kinds and queues."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

_WORD = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _create_tasks()
    _create_states()
    _create_log()
    _create_outbox()
    _create_services()
    _create_task_indexes()
    _create_state_indexes()


def downgrade() -> None:
    tables = ("queues", "kinds", "workers", "outbox", "task_metadata", "events", "states", "tasks")
    for table in tables:
        op.drop_table(table)


def _word(name: str, *, nullable: bool = False, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, _WORD, nullable=nullable, **options)


def _text(name: str, *, nullable: bool = False, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=nullable, **options)


def _number(name: str, *, nullable: bool = False, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable, **options)


def _count(name: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer(), nullable=False, **options)


def _create_tasks() -> None:
    op.create_table(
        "tasks",
        _word("id", primary_key=True),
        _word("tenant"),
        _word("kind"),
        _word("queue"),
        _word("key", nullable=True),
        _text("fingerprint", nullable=True),
        _word("parent_id", nullable=True),
        _text("replay_of", nullable=True),
        _text("traceparent", nullable=True),
        _number("timeout_ms"),
        _number("grace_ms"),
        _count("max_attempts"),
        _number("retry_base_ms"),
        _number("retry_cap_ms"),
        _number("created_at"),
        _number("scheduled_for", nullable=True),
        _text("metadata"),
        _text("input"),
    )


def _create_states() -> None:
    op.create_table(
        "states",
        _word("task_id", primary_key=True),
        _word("tenant"),
        _word("kind"),
        _word("version"),
        _word("queue"),
        _count("priority"),
        _word("status"),
        _count("attempt", server_default="0"),
        _count("failures", server_default="0"),
        _count("losses", server_default="0"),
        _number("seq"),
        _number("number", server_default="0"),
        _number("keep_through", server_default="0"),
        _text("token", nullable=True),
        _word("worker_id", nullable=True),
        _word("claim_id", nullable=True),
        _number("claim_beat", server_default="0"),
        _number("not_before", nullable=True),
        _number("started_at", nullable=True),
        _number("finished_at", nullable=True),
        _number("expires_at", nullable=True),
        _number("retained_until", nullable=True),
        _number("cancel_requested_at", nullable=True),
        _text("cancel_reason", nullable=True),
        _text("cancel_outcome", nullable=True),
        _text("progress", nullable=True),
        _text("error", nullable=True),
        _text("checkpoint", nullable=True),
        _text("result", nullable=True),
        postgresql_with={"fillfactor": "80"},
    )


def _create_log() -> None:
    op.create_table(
        "events",
        _word("task_id", primary_key=True),
        _number("seq", primary_key=True, autoincrement=False),
        _count("attempt"),
        _text("type"),
        _number("time"),
        _text("data"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "task_metadata",
        _word("tenant", primary_key=True),
        _word("name", primary_key=True),
        _word("value_hash", primary_key=True),
        _word("task_id", primary_key=True),
        sqlite_with_rowid=False,
    )


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", _SERIAL, primary_key=True),
        _number("created_at"),
        _number("claimed_until", server_default="0"),
        _text("payload"),
        sqlite_autoincrement=True,
        postgresql_with={"autovacuum_vacuum_scale_factor": "0", "autovacuum_vacuum_threshold": "2000"},
    )


def _create_services() -> None:
    op.create_table(
        "workers",
        _word("id", primary_key=True),
        _text("service", server_default=""),
        _text("version", server_default=""),
        _count("slots", server_default="0"),
        _count("running", server_default="0"),
        _text("state", server_default="ready"),
        sa.Column("announced", sa.Boolean(), nullable=False, server_default=sa.false()),
        _number("heartbeat_at", nullable=True),
        _number("lease_until"),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "kinds",
        _word("kind", primary_key=True),
        _word("version", primary_key=True),
        _number("announced_at"),
        _text("spec"),
    )
    op.create_table(
        "queues",
        _word("name", primary_key=True),
        sa.Column("paused", sa.Boolean(), nullable=False),
    )


def _index(name: str, columns: list[Any], where: str | None = None, *, unique: bool = False) -> None:
    condition = None if where is None else sa.text(where)
    table = name.split("_", 1)[0]
    op.create_index(name, table, columns, unique=unique, postgresql_where=condition, sqlite_where=condition)


def _create_task_indexes() -> None:
    _index("tasks_key", ["tenant", "key"], "key IS NOT NULL", unique=True)
    _index("tasks_of_tenant", ["tenant", "id"])
    _index("tasks_of_kind", ["tenant", "kind", "id"])
    _index("tasks_of_queue", ["tenant", "queue", "id"])
    _index("tasks_of_parent", ["parent_id", "id"], "parent_id IS NOT NULL")


def _create_state_indexes() -> None:
    held = "status IN ('cancelling', 'running', 'waiting')"
    timed = "status IN ('scheduled', 'retrying', 'cancelling')"
    unstarted = "attempt = 0 AND expires_at IS NOT NULL AND status IN ('scheduled', 'queued')"
    best = ["queue", "kind", "version", sa.text("priority DESC"), "task_id"]
    _index("states_by_status", ["tenant", "status", "task_id"])
    _index("states_claimable", best, "status = 'queued'")
    _index("states_due", ["not_before"], timed)
    _index("states_expiring", ["expires_at"], unstarted)
    _index("states_held", ["worker_id"], held)
    _index("states_claimed", ["claim_id"], held)
    _index("states_retained", ["retained_until"], "retained_until IS NOT NULL")
