"""Secrets of webhook endpoints that were replaced, and sign along for a while."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("endpoints", sa.Column("retired_secret", sa.Text()))
    op.add_column("endpoints", sa.Column("retired_until", sa.BigInteger()))


def downgrade() -> None:
    op.drop_column("endpoints", "retired_until")
    op.drop_column("endpoints", "retired_secret")
