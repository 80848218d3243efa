"""The job by which an operation exports."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.add_column("operations", sa.Column("job_id", sa.Text, comment="the job that writes an export"))


def downgrade() -> None:
    """Take the change back."""
    op.drop_column("operations", "job_id")
