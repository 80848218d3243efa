"""Whose results the nodes of workflows took; NULL for those that were stored before."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.add_column(
        "workflow_nodes",
        sa.Column("inputs", JSONB, comment="whose results it took: names of nodes, with the bytes of each"),
    )


def downgrade() -> None:
    """Take the change back."""
    op.drop_column("workflow_nodes", "inputs")
