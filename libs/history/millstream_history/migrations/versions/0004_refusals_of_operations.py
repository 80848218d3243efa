"""What an operation says of single jobs: why it has refused them, and what it would change in them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COLUMNS = (("samples", "what a patch would change"), ("refusals", "the first jobs that were refused"))


def upgrade() -> None:
    """Make the change."""
    for name, comment in _COLUMNS:
        # With a default: releases that do not know the columns make operations too.
        column = sa.Column(name, JSONB, nullable=False, server_default=sa.text("'[]'"), comment=comment)
        op.add_column("operations", column)


def downgrade() -> None:
    """Take the change back."""
    for name, _ in _COLUMNS:
        op.drop_column("operations", name)
