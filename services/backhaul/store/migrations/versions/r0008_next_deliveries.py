"""What is due is found by its time, however many targets wait for theirs."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_IS_NEXT = sa.text("state = 'pending' AND target != ''")


def upgrade() -> None:
    op.create_index("deliveries_next", "deliveries", ["next_at"], postgresql_where=_IS_NEXT, sqlite_where=_IS_NEXT)


def downgrade() -> None:
    op.drop_index("deliveries_next", "deliveries")
