"""Who has submitted jobs and workflows; NULL for those that were stored before."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_COMMENTS = {
    "jobs": "the owner of the credential; NULL where that is not known",
    "workflows": "as of a job",
}


def upgrade() -> None:
    """Make the change."""
    for table, comment in _COMMENTS.items():
        # Without a default no row is written anew.
        op.add_column(table, sa.Column("submitted_by", sa.Text(collation="C"), comment=comment))


def downgrade() -> None:
    """Take the change back."""
    for table in _COMMENTS:
        op.drop_column(table, "submitted_by")
