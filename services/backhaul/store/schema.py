"""The tables, as the newest migration leaves them.

A task is two rows. `tasks` holds what was asked, and is never updated: so the indexes that lists are read from cost
nothing when a task moves. `states` holds how the task stands: a narrow row that every transition rewrites, with no
index that a report of progress would touch (PostgreSQL then updates it in place: HOT).

Moments (`…_at`, `…_until`, `not_before`, `scheduled_for`) are milliseconds since the epoch, lengths (`…_ms`) are
milliseconds, payloads are JSON kept as text. There are no foreign keys: whoever deletes a task deletes all of it
(`retention`), and nothing else may pay for the check.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    and_,
    false,
    literal_column,
)
from sqlalchemy.dialects import postgresql

from backhaul_contracts.tasks import HELD, Status

METADATA = MetaData()

Word = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
"""Text that is compared: byte by byte, as Python and SQLite do it, whatever the database's own collation."""
Serial = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite numbers rows by itself only where the type is exactly INTEGER."""

tasks = Table(
    "tasks",
    METADATA,
    Column("id", Word, primary_key=True),
    Column("tenant", Word, nullable=False),
    Column("kind", Word, nullable=False),
    Column("queue", Word, nullable=False),
    Column("key", Word),
    Column("fingerprint", Text),
    Column("parent_id", Word),
    Column("replay_of", Text),
    Column("traceparent", Text),
    Column("timeout_ms", BigInteger, nullable=False),
    Column("grace_ms", BigInteger, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("retry_base_ms", BigInteger, nullable=False),
    Column("retry_cap_ms", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("scheduled_for", BigInteger),
    Column("metadata", Text, nullable=False),
    Column("input", Text, nullable=False),
    Column("webhook", Text),
)

states = Table(
    "states",
    METADATA,
    Column("task_id", Word, primary_key=True),
    Column("tenant", Word, nullable=False),
    Column("kind", Word, nullable=False),
    Column("version", Word, nullable=False),
    Column("queue", Word, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("status", Word, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("losses", Integer, nullable=False, server_default="0"),
    Column("seq", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False, server_default="0"),
    Column("keep_through", BigInteger, nullable=False, server_default="0"),
    Column("token", Text),
    Column("worker_id", Word),
    Column("claim_id", Word),
    Column("claim_beat", BigInteger, nullable=False, server_default="0"),
    Column("not_before", BigInteger),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("expires_at", BigInteger),
    Column("retained_until", BigInteger),
    Column("cancel_requested_at", BigInteger),
    Column("cancel_reason", Text),
    Column("cancel_outcome", Text),
    Column("progress", Text),
    Column("error", Text),
    Column("checkpoint", Text),
    Column("result", Text),
    Column("replies", Text),
    Column("called_in", Integer, nullable=False, server_default="0"),
    postgresql_with={"fillfactor": "80"},
)

events = Table(
    "events",
    METADATA,
    Column("task_id", Word, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("attempt", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("data", Text, nullable=False),
    sqlite_with_rowid=False,
)

task_metadata = Table(
    "task_metadata",
    METADATA,
    Column("tenant", Word, primary_key=True),
    Column("name", Word, primary_key=True),
    Column("value_hash", Word, primary_key=True),  # a value may be longer than an index entry
    Column("task_id", Word, primary_key=True),
    sqlite_with_rowid=False,
)

outbox = Table(
    "outbox",
    METADATA,
    Column("id", Serial, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("claimed_until", BigInteger, nullable=False, server_default="0"),
    Column("payload", Text, nullable=False),
    sqlite_autoincrement=True,  # an id that comes back would settle another transaction's debt
    postgresql_with={"autovacuum_vacuum_scale_factor": "0", "autovacuum_vacuum_threshold": "2000"},
)

workers = Table(
    "workers",
    METADATA,
    Column("id", Word, primary_key=True),
    Column("service", Text, nullable=False, server_default=""),
    Column("version", Text, nullable=False, server_default=""),
    Column("slots", Integer, nullable=False, server_default="0"),
    Column("running", Integer, nullable=False, server_default="0"),
    Column("state", Text, nullable=False, server_default="ready"),
    Column("announced", Boolean, nullable=False, server_default=false()),
    Column("heartbeat_at", BigInteger),
    Column("lease_until", BigInteger, nullable=False),
    Column("drain", Boolean, nullable=False, server_default=false()),
    postgresql_with={"fillfactor": "50"},
)

kinds = Table(
    "kinds",
    METADATA,
    Column("kind", Word, primary_key=True),
    Column("version", Word, primary_key=True),
    Column("announced_at", BigInteger, nullable=False),
    Column("spec", Text, nullable=False),
    Column("refused_at", BigInteger),
    Column("refusal", Text),
)

queues = Table(
    "queues",
    METADATA,
    Column("name", Word, primary_key=True),
    Column("paused", Boolean, nullable=False),
)

endpoints = Table(
    "endpoints",
    METADATA,
    Column("id", Word, primary_key=True),
    Column("tenant", Word, nullable=False),
    Column("url", Text, nullable=False),
    Column("events", Text, nullable=False),
    Column("description", Text),
    Column("secret", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("disabled", Text),
    Column("retired_secret", Text),
    Column("retired_until", BigInteger),
)

deliveries = Table(
    "deliveries",
    METADATA,
    Column("id", Word, primary_key=True),
    Column("tenant", Word, nullable=False),
    Column("target", Word, nullable=False),
    Column("endpoint_id", Word),
    Column("task_id", Word),
    Column("event", Text, nullable=False),
    Column("url", Text),
    Column("secret", Text),
    Column("state", Word, nullable=False, server_default="pending"),
    Column("tried", Integer, nullable=False, server_default="0"),
    Column("tries", Text, nullable=False, server_default=""),  # JSON objects with commas between them
    Column("next_at", BigInteger),
    Column("claim", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("body", Text, nullable=False),
)

tenant_secrets = Table(
    "tenant_secrets",
    METADATA,
    Column("tenant", Word, primary_key=True),
    Column("secret", Text, nullable=False),
)


api_keys = Table(
    "api_keys",
    METADATA,
    Column("id", Word, primary_key=True),
    Column("name", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)


def status_in(*statuses: Status) -> ColumnElement[bool]:
    """Whether a task has one of these statuses, written out in full: a partial index is used only for a condition
    that is plain when the statement is prepared."""
    written: list[ColumnElement[str]] = [literal_column(f"'{status}'") for status in statuses]
    return states.c.status == written[0] if len(written) == 1 else states.c.status.in_(written)


IS_QUEUED = status_in(Status.QUEUED)
IS_HELD = status_in(*sorted(HELD))
IS_TIMED = status_in(Status.SCHEDULED, Status.RETRYING, Status.CANCELLING)
IS_UNSTARTED = and_(
    states.c.attempt == literal_column("0"),
    states.c.expires_at.is_not(None),
    status_in(Status.SCHEDULED, Status.QUEUED),
)


def _where(column: Column[Any]) -> dict[str, Any]:
    """An index of only those rows in which `column` is not NULL."""
    return {"postgresql_where": column.is_not(None), "sqlite_where": column.is_not(None)}


IS_ENABLED = endpoints.c.disabled.is_(None)
IS_PENDING = deliveries.c.state == literal_column("'pending'")
IS_NEXT = and_(IS_PENDING, deliveries.c.target != literal_column("''"))
"""Every pending delivery is, but only the look for the earliest says so: no statement about one target is planned along
the index of all times, which would look short while there is but one."""

_KEYED = tasks.c.key.is_not(None)
_PARENTED = tasks.c.parent_id.is_not(None)
_RETAINED = states.c.retained_until.is_not(None)

Index("tasks_key", tasks.c.tenant, tasks.c.key, unique=True, postgresql_where=_KEYED, sqlite_where=_KEYED)
Index("tasks_of_tenant", tasks.c.tenant, tasks.c.id)
Index("tasks_of_kind", tasks.c.tenant, tasks.c.kind, tasks.c.id)
Index("tasks_of_queue", tasks.c.tenant, tasks.c.queue, tasks.c.id)
Index("tasks_of_parent", tasks.c.parent_id, tasks.c.id, postgresql_where=_PARENTED, sqlite_where=_PARENTED)

Index("states_by_status", states.c.tenant, states.c.status, states.c.task_id)
Index(
    "states_claimable",
    states.c.queue,
    states.c.kind,
    states.c.version,
    states.c.priority.desc(),
    states.c.task_id,
    postgresql_where=IS_QUEUED,
    sqlite_where=IS_QUEUED,
)
Index("states_due", states.c.not_before, postgresql_where=IS_TIMED, sqlite_where=IS_TIMED)
Index("states_expiring", states.c.expires_at, postgresql_where=IS_UNSTARTED, sqlite_where=IS_UNSTARTED)
Index("states_held", states.c.worker_id, postgresql_where=IS_HELD, sqlite_where=IS_HELD)
Index("states_claimed", states.c.claim_id, postgresql_where=IS_HELD, sqlite_where=IS_HELD)
Index("states_retained", states.c.retained_until, postgresql_where=_RETAINED, sqlite_where=_RETAINED)
Index("endpoints_of_tenant", endpoints.c.tenant, endpoints.c.id)
Index("endpoints_enabled", endpoints.c.tenant, postgresql_where=IS_ENABLED, sqlite_where=IS_ENABLED)
Index(
    "deliveries_due",
    deliveries.c.target,
    deliveries.c.next_at,
    postgresql_where=IS_PENDING,
    sqlite_where=IS_PENDING,
)
Index("deliveries_next", deliveries.c.next_at, postgresql_where=IS_NEXT, sqlite_where=IS_NEXT)
Index("deliveries_of_endpoint", deliveries.c.endpoint_id, deliveries.c.id, **_where(deliveries.c.endpoint_id))
Index("deliveries_of_task", deliveries.c.task_id, deliveries.c.id, **_where(deliveries.c.task_id))
Index("deliveries_ended", deliveries.c.ended_at, **_where(deliveries.c.ended_at))
