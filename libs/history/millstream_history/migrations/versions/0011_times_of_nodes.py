"""When the nodes of workflows could start, and when they ended."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.add_column(
        "workflow_nodes",
        sa.Column("started_at", sa.DateTime(timezone=True), comment="when it could start, in its last run"),
    )
    op.add_column(
        "workflow_nodes",
        sa.Column("finished_at", sa.DateTime(timezone=True), comment="when its workflow learned of its end"),
    )


def downgrade() -> None:
    """Take the change back."""
    for name in ("finished_at", "started_at"):
        op.drop_column("workflow_nodes", name)
