"""Operations that delete a tenant say what they have removed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.add_column(
        "operations",
        sa.Column(
            "removed",
            postgresql.JSONB,
            nullable=False,
            server_default=sa.text("'{}'"),
            comment="what a deletion of a tenant has removed",
        ),
    )


def downgrade() -> None:
    """Take the change back."""
    op.drop_column("operations", "removed")
