"""The tables of jobs and their transitions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "jobs",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("partition", sa.SmallInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column(
            "version",
            sa.BigInteger,
            nullable=False,
            comment="grows with every transition; an older one never replaces it",
        ),
        sa.Column("priority", sa.Text),
        sa.Column("attempts", sa.Integer),
        sa.Column("max_attempts", sa.Integer),
        sa.Column("deliveries", sa.BigInteger),
        sa.Column("crashes", sa.Integer),
        sa.Column("handbacks", sa.BigInteger),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True)),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.Column("worker", sa.Text),
        sa.Column("payload", JSONB),
        sa.Column("result", JSONB),
        sa.Column("error", JSONB, comment="of the last failed attempt"),
        sa.Column("reason", sa.Text, comment="why it was cancelled or is dead"),
        sa.Column("tags", JSONB),
        sa.Column("timeout_s", sa.Double),
        sa.Column("trace_id", sa.Text),
        comment="the last that is known of each job",
    )
    op.create_index("jobs_by_type", "jobs", ["tenant", "type", "created_at"])
    op.create_table(
        "transitions",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("job_id", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deliveries", sa.BigInteger, nullable=False),
        sa.Column("worker", sa.Text),
        sa.Column("detail", sa.Text, comment="the reason of a death or a cancellation"),
        sa.Column("error", JSONB, comment="the last one when this was stored; it says of which attempt"),
        comment="all that happened to each job",
    )


def downgrade() -> None:
    """Drop the tables, with all of their rows."""
    op.drop_table("transitions")
    op.drop_table("jobs")
