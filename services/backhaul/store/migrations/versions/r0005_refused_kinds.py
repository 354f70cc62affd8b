"""Announcements of kinds that were refused."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("kinds", sa.Column("refused_at", sa.BigInteger(), nullable=True))
    op.add_column("kinds", sa.Column("refusal", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("kinds", "refusal")
    op.drop_column("kinds", "refused_at")
