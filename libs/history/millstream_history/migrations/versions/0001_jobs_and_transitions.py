"""The tables of jobs and their transitions, partitioned by the job's day."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from millstream_history.migrations import day_functions

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_BY_DAY = "RANGE (created_at)"
_INDEXES = (
    ("jobs_by_time", ["tenant", "created_at"], None),
    ("jobs_by_type", ["tenant", "type", "created_at"], None),
    ("jobs_by_outcome", ["tenant", "outcome", "created_at"], "outcome IS NOT NULL"),
    ("jobs_by_type_and_outcome", ["tenant", "type", "outcome", "created_at"], "outcome IS NOT NULL"),
    ("jobs_by_fingerprint", ["tenant", "fingerprint", "created_at"], "fingerprint IS NOT NULL"),
    ("jobs_by_dead_group", ["tenant", "type", "fingerprint", "created_at"], "outcome = 'dead'"),
    ("jobs_by_workflow", ["tenant", "workflow_id", "created_at"], "workflow_id IS NOT NULL"),
)


def upgrade() -> None:
    """Make the change."""
    _create_jobs()
    _create_transitions()
    for table in ("jobs", "transitions"):
        op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
    for name, columns, where in _INDEXES:
        op.create_index(name, "jobs", columns, postgresql_where=where and sa.text(where))
    op.create_index("jobs_by_tag", "jobs", ["tags"], postgresql_using="gin", postgresql_ops={"tags": "jsonb_path_ops"})
    op.create_index("jobs_by_trace", "jobs", ["trace_id"], postgresql_using="hash")
    _create_worker_spans()
    _create_stats("stats_minutes", "how many transitions there were in each minute")
    _create_stats("stats_hours", "how many transitions there were in each hour")
    _create_event_gaps()
    for statement in day_functions.statements(_schema()):
        op.get_bind().exec_driver_sql(statement)


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("tenant", _key(), primary_key=True),
        sa.Column("id", _key(), primary_key=True),
        sa.Column("type", _key(), nullable=False),
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
        sa.Column("created_at", sa.DateTime(timezone=True), primary_key=True, comment="the time in its id"),
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
        *_derived(),
        comment="the last that is known of each job",
        postgresql_partition_by=_BY_DAY,
    )


def _derived() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column(
            "outcome", _key(), comment="its state if it ended without success; unknown if its end was not recorded"
        ),
        sa.Column("fingerprint", _key(), comment="what equal failures have in common"),
        sa.Column("error_text", sa.Text, comment="type: message of the error, bounded"),
        sa.Column("workflow_id", _key()),
        sa.Column("waited_ms", sa.BigInteger, comment="ready before its last delivery"),
        sa.Column("ran_ms", sa.BigInteger, comment="the last delivery that has ended"),
        sa.Column("payload_bytes", sa.Integer, comment="of the payload as JSON"),
        sa.Column("rerun_of", sa.Text),
    )


def _create_transitions() -> None:
    op.create_table(
        "transitions",
        sa.Column("tenant", _key(), primary_key=True),
        sa.Column("job_id", _key(), primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deliveries", sa.BigInteger, nullable=False),
        sa.Column("worker", sa.Text),
        sa.Column("detail", sa.Text, comment="the reason of a death or a cancellation"),
        sa.Column("error", JSONB, comment="why the attempt failed that ends by this"),
        sa.Column("created_at", sa.DateTime(timezone=True), primary_key=True, comment="of the job"),
        sa.Column("attempt", sa.Integer, comment="the attempt that begins or ends by this"),
        sa.Column("waited_ms", sa.BigInteger),
        sa.Column("ran_ms", sa.BigInteger),
        comment="all that happened to each job",
        postgresql_partition_by=_BY_DAY,
    )


def _create_worker_spans() -> None:
    op.create_table(
        "worker_spans",
        sa.Column("tenant", _key(), primary_key=True),
        sa.Column("worker", _key(), primary_key=True),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False, comment="not before its last transition"),
        comment="when each worker was seen, so that its jobs are looked for in that time alone",
    )


def _create_stats(name: str, comment: str) -> None:
    op.create_table(
        name,
        sa.Column("tenant", _key(), primary_key=True),
        sa.Column("type", _key(), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), primary_key=True, comment="its begin"),
        sa.Column("kind", _key(), primary_key=True, comment="of the transitions"),
        sa.Column("bucket", sa.SmallInteger, primary_key=True, comment="of the durations; -1 without one"),
        sa.Column("shard", sa.SmallInteger, primary_key=True, comment="of the writer"),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.Column("sum_ms", sa.BigInteger, nullable=False),
        comment=comment,
    )
    # Room to count in place.
    op.execute(f"ALTER TABLE {name} SET (fillfactor = 70)")
    op.create_index(f"{name}_by_time", name, ["at", "tenant"])


def _create_event_gaps() -> None:
    op.create_table(
        "event_gaps",
        sa.Column("tenant", _key(), primary_key=True),
        sa.Column("type", _key(), primary_key=True),
        sa.Column("partition", sa.SmallInteger, primary_key=True),
        sa.Column("first_at", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), comment="when its jobs had been read again"),
        sa.Column("taken_by", sa.Text, comment="the process that reads them"),
        sa.Column("taken_until", sa.DateTime(timezone=True)),
        comment="times of which events of a queue were lost",
    )


def _schema() -> str:
    """Return the quoted name of the schema in which the tables are."""
    return str(op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one())


def downgrade() -> None:
    """Drop the tables, with all of their rows."""
    for name in day_functions.NAMES:
        op.execute(f"DROP FUNCTION {name}")
    for name in ("event_gaps", "stats_hours", "stats_minutes", "worker_spans"):
        op.drop_table(name)
    op.drop_table("transitions")
    op.drop_table("jobs")


def _key() -> sa.Text:
    """Return the type of a text that is compared byte by byte, as ids are."""
    return sa.Text(collation="C")
