"""The tables of the history database. Changes go into a migration beside this; a test compares the two.

`jobs` has the last known state of each job, and `transitions` has each transition.
"""

from sqlalchemy import BigInteger, Column, DateTime, Double, Index, Integer, MetaData, SmallInteger, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

METADATA = MetaData()

JOBS = Table(
    "jobs",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("partition", SmallInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column(
        "version", BigInteger, nullable=False, comment="grows with every transition; an older one never replaces it"
    ),
    Column("priority", Text),
    Column("attempts", Integer),
    Column("max_attempts", Integer),
    Column("deliveries", BigInteger),
    Column("crashes", Integer),
    Column("handbacks", BigInteger),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("run_at", DateTime(timezone=True)),
    Column("expires_at", DateTime(timezone=True)),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    Column("worker", Text),
    Column("payload", JSONB),
    Column("result", JSONB),
    Column("error", JSONB, comment="of the last failed attempt"),
    Column("reason", Text, comment="why it was cancelled or is dead"),
    Column("tags", JSONB),
    Column("timeout_s", Double),
    Column("trace_id", Text),
    Index("jobs_by_type", "tenant", "type", "created_at"),
    comment="the last that is known of each job",
)

TRANSITIONS = Table(
    "transitions",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("job_id", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("deliveries", BigInteger, nullable=False),
    Column("worker", Text),
    Column("detail", Text, comment="the reason of a death or a cancellation"),
    Column("error", JSONB, comment="the last one when this was stored; it says of which attempt"),
    comment="all that happened to each job",
)
