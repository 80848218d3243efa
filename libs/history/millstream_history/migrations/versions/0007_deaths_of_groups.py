"""When jobs died, in the index of dead jobs: the deaths of each hour are counted from the index alone."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_INDEX = "CREATE INDEX jobs_by_dead_group ON jobs (tenant, type, fingerprint, created_at){} WHERE outcome = 'dead'"


def upgrade() -> None:
    """Make the change."""
    op.execute("DROP INDEX jobs_by_dead_group")
    op.execute(_INDEX.format(" INCLUDE (finished_at)"))


def downgrade() -> None:
    """Take the change back."""
    op.execute("DROP INDEX jobs_by_dead_group")
    op.execute(_INDEX.format(""))
