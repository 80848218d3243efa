"""The table of the endpoints of webhooks."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "webhook_endpoints",
        sa.Column("tenant", sa.Text(collation="C"), primary_key=True),
        sa.Column("id", sa.Text(collation="C"), primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("types", ARRAY(sa.Text), nullable=False, comment="job types, or patterns of them"),
        sa.Column("events", ARRAY(sa.Text), nullable=False),
        sa.Column("payloads", sa.Boolean, nullable=False, comment="whether calls have payload and result"),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("salts", JSONB, nullable=False, comment="what its secrets are derived from, with a key of ingest"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rotated_at", sa.DateTime(timezone=True)),
        sa.Column("enabled_at", sa.DateTime(timezone=True), comment="events from then on go there"),
        sa.Column("disabled_at", sa.DateTime(timezone=True)),
        sa.Column("disabled_reason", sa.Text),
        sa.Column("failing_since", sa.DateTime(timezone=True), comment="since when every delivery has failed"),
        comment="where events of jobs go",
    )
