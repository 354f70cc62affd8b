"""Who is told of the end of a task, and which attempt of its parent called for it last."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("states", sa.Column("replies", sa.Text(), nullable=True))
    op.add_column("states", sa.Column("called_in", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("states", "called_in")
    op.drop_column("states", "replies")
