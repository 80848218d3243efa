"""The table of the jobs that were erased."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "erased_jobs",
        sa.Column("tenant", sa.Text(collation="C"), primary_key=True),
        sa.Column("id", sa.Text(collation="C"), primary_key=True),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
        comment="jobs of which nothing but id, type, times and outcome is stored, whatever comes late",
    )
    op.create_index("erased_jobs_by_time", "erased_jobs", ["erased_at"])


def downgrade() -> None:
    """Take the change back."""
    op.drop_table("erased_jobs")
