"""Tables of tasks, their log, the outbox, workers, kinds and queues."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

_WORD = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _word(name: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, _WORD, nullable=options.pop("nullable", False), **options)
