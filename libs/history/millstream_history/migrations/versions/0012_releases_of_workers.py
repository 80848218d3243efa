"""The release that each worker runs: dead jobs are told apart by it."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.add_column("worker_spans", sa.Column("release", sa.Text, comment="that it runs, as its heartbeat says"))


def downgrade() -> None:
    """Take the change back."""
    op.drop_column("worker_spans", "release")
