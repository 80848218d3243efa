"""What jobs waited for, and because of which of these they ended."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.add_column("jobs", sa.Column("after", JSONB, comment="the jobs that it waited for"))
    op.add_column("jobs", sa.Column("after_failure", sa.Text))
    op.add_column("jobs", sa.Column("because_of", sa.Text(collation="C"), comment="the one of them by which it ended"))


def downgrade() -> None:
    """Take the change back."""
    for name in ("because_of", "after_failure", "after"):
        op.drop_column("jobs", name)
