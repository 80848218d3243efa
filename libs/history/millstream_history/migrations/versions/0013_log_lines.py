"""The last log lines of attempts, with the transitions that end them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    comment = "what was logged last in the attempt that ends by this"
    op.add_column("transitions", sa.Column("log_lines", JSONB, comment=comment))


def downgrade() -> None:
    """Take the change back."""
    op.drop_column("transitions", "log_lines")
