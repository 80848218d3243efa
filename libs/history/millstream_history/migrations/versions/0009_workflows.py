"""The workflows that have ended, with their nodes: partitioned by their day, and dropped with it."""

from datetime import timedelta

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from millstream_history.migrations import day_functions

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_BY_DAY = "RANGE (created_at)"
_TABLES = day_functions.TABLES[2:]
# The days that have partitions of jobs: for these none is made later.
_DAYS = (
    "SELECT to_date(right(relname, 8), 'YYYYMMDD') FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
    "WHERE inhparent = 'jobs'::regclass AND relname ~ '^jobs_[0-9]{8}$'"
)
_ADD_DAY = (
    "CREATE TABLE {0}_{1:%Y%m%d} PARTITION OF {0} FOR VALUES FROM ('{1} 00:00:00+00') TO ('{2} 00:00:00+00') "
    "WITH (autovacuum_vacuum_insert_scale_factor = 0.02)"
)


def upgrade() -> None:
    """Make the change."""
    _create_workflows()
    _create_nodes()
    days = list(op.get_bind().exec_driver_sql(_DAYS).scalars())
    for table in _TABLES:
        op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
        for day in days:
            op.execute(_ADD_DAY.format(table, day, day + timedelta(days=1)))
    op.create_index("workflows_by_place", "workflows", ["tenant", "place"])
    op.create_index("workflows_by_name", "workflows", ["tenant", "name", "place"])
    _make_functions(with_workflows=True)


def _create_workflows() -> None:
    op.create_table(
        "workflows",
        sa.Column("tenant", _key(), primary_key=True),
        sa.Column("id", _key(), primary_key=True),
        sa.Column("name", _key(), nullable=False),
        sa.Column("state", _key(), nullable=False),
        sa.Column(
            "turn", sa.BigInteger, nullable=False, comment="grows with every change; an older one never replaces it"
        ),
        sa.Column(
            "place",
            sa.Double,
            nullable=False,
            comment="in lists: the Unix ms of its creation, made unlike all others",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("on_failure", sa.Text, nullable=False),
        sa.Column("retention_s", sa.Double, nullable=False),
        sa.Column("counts", JSONB, nullable=False, comment="how many nodes are in which state"),
        sa.Column("result", JSONB),
        sa.Column("reason", sa.Text, comment="why it failed or was cancelled, or why there is no result"),
        sa.Column("trace_id", sa.Text),
        comment="the workflows that have ended",
        postgresql_partition_by=_BY_DAY,
    )


def _create_nodes() -> None:
    op.create_table(
        "workflow_nodes",
        sa.Column("tenant", _key(), primary_key=True),
        sa.Column("workflow_id", _key(), primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True, comment="in the order of the submission, from 0"),
        sa.Column("turn", sa.BigInteger, nullable=False, comment="of the workflow"),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("type", _key(), nullable=False),
        sa.Column("state", _key(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), primary_key=True, comment="of the workflow"),
        sa.Column(
            "job_id",
            _key(),
            comment="of the last run; of one that was started and has no map",
        ),
        sa.Column("reason", sa.Text),
        sa.Column("after", JSONB, comment="the names of the nodes that it waited for"),
        sa.Column("optional", sa.Boolean, nullable=False),
        sa.Column("items", JSONB, comment="how many of its jobs are in which state, of one with a job for each item"),
        comment="the nodes of workflows that have ended",
        postgresql_partition_by=_BY_DAY,
    )


def _make_functions(*, with_workflows: bool) -> None:
    schema = str(op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one())
    for statement in day_functions.statements(schema, with_workflows=with_workflows):
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    """Take the change back, with all of its rows."""
    _make_functions(with_workflows=False)
    for table in reversed(_TABLES):
        op.drop_table(table)


def _key() -> sa.Text:
    """Return the type of a text that is compared byte by byte, as ids are."""
    return sa.Text(collation="C")
