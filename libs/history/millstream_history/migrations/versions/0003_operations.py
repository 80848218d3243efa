"""The table of the operations on many jobs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "operations",
        sa.Column("tenant", sa.Text(collation="C"), primary_key=True),
        sa.Column("id", sa.Text(collation="C"), primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("resumes_to", sa.Text, comment="the state of a paused one before the pause"),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("asked", JSONB, nullable=False, comment="as it was submitted"),
        sa.Column("query", JSONB, comment="the frozen query; NULL where ids were given"),
        sa.Column("cutoff_ms", sa.BigInteger, nullable=False, comment="jobs that died later are left alone"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("found", sa.BigInteger, nullable=False),
        sa.Column("done", sa.BigInteger, nullable=False),
        sa.Column("refused", sa.BigInteger, nullable=False),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.Column("cursor", sa.Text, comment="where the next page begins"),
        sa.Column("is_exhausted", sa.Boolean, nullable=False, comment="whether there is no next page"),
        sa.Column("canary_ids", JSONB, nullable=False),
        sa.Column("canary_until", sa.DateTime(timezone=True)),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False, comment="when the next page is due"),
        sa.Column("lease", sa.Text, comment="the dispatcher that works on it"),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        comment="decisions about many jobs, carried out page by page",
    )
    op.create_index(
        "operations_due",
        "operations",
        ["next_at"],
        postgresql_where=sa.text("finished_at IS NULL"),
    )
