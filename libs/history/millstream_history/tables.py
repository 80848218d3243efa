"""The tables of the history database. Changes go into a migration beside this; a test compares the two.

`jobs` has the last known state of each job, and `transitions` has each transition. Both are partitioned by the day of
the job's creation, so that a day goes as a whole and a job's timeline lies in one partition; what has no partition of
its own lies in the default one. `workflows` and `workflow_nodes` are so by the day of the workflow's creation. Indexes
that a database may lack are in `optional_indexes.py`.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

METADATA = MetaData()
BY_DAY = "RANGE (created_at)"


def _key() -> Text:
    """Return the type of a text that is compared byte by byte, as ids are."""
    return Text(collation="C")


JOBS = Table(
    "jobs",
    METADATA,
    Column("tenant", _key(), primary_key=True),
    Column("id", _key(), primary_key=True),
    Column("type", _key(), nullable=False),
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
    Column("created_at", DateTime(timezone=True), primary_key=True, comment="the time in its id"),
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
    Column("outcome", _key(), comment="its state if it ended without success; unknown if its end was not recorded"),
    Column("fingerprint", _key(), comment="what equal failures have in common"),
    Column("error_text", Text, comment="type: message of the error, bounded"),
    Column("workflow_id", _key()),
    Column("waited_ms", BigInteger, comment="ready before its last delivery"),
    Column("ran_ms", BigInteger, comment="the last delivery that has ended"),
    Column("payload_bytes", Integer, comment="of the payload as JSON"),
    Column("rerun_of", Text),
    Column("after", JSONB, comment="the jobs that it waited for"),
    Column("after_failure", Text),
    Column("because_of", _key(), comment="the one of them by which it ended"),
    Column("submitted_by", _key(), comment="the owner of the credential; NULL where that is not known"),
    Index("jobs_by_time", "tenant", "created_at"),
    Index("jobs_by_type", "tenant", "type", "created_at"),
    # None of the state itself: an index of what changes in each update would keep rows from being updated in place.
    Index("jobs_by_outcome", "tenant", "outcome", "created_at", postgresql_where=text("outcome IS NOT NULL")),
    Index(
        "jobs_by_type_and_outcome", "tenant", "type", "outcome", "created_at",
        postgresql_where=text("outcome IS NOT NULL"),
    ),
    Index(
        "jobs_by_fingerprint", "tenant", "fingerprint", "created_at",
        postgresql_where=text("fingerprint IS NOT NULL"),
    ),
    Index(
        "jobs_by_dead_group", "tenant", "type", "fingerprint", "created_at",
        postgresql_include=["finished_at"], postgresql_where=text("outcome = 'dead'"),
    ),
    Index(
        "jobs_by_death", "tenant", "finished_at",
        postgresql_include=["type", "fingerprint", "created_at"], postgresql_where=text("outcome = 'dead'"),
    ),
    Index("jobs_by_workflow", "tenant", "workflow_id", "created_at", postgresql_where=text("workflow_id IS NOT NULL")),
    Index("jobs_by_tag", "tags", postgresql_using="gin", postgresql_ops={"tags": "jsonb_path_ops"}),
    Index("jobs_by_trace", "trace_id", postgresql_using="hash"),
    comment="the last that is known of each job",
    postgresql_partition_by=BY_DAY,
)  # fmt: skip

TRANSITIONS = Table(
    "transitions",
    METADATA,
    Column("tenant", _key(), primary_key=True),
    Column("job_id", _key(), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("deliveries", BigInteger, nullable=False),
    Column("worker", Text),
    Column("detail", Text, comment="the reason of a death or a cancellation"),
    Column("error", JSONB, comment="why the attempt failed that ends by this"),
    Column("created_at", DateTime(timezone=True), primary_key=True, comment="of the job"),
    Column("attempt", Integer, comment="the attempt that begins or ends by this"),
    Column("waited_ms", BigInteger),
    Column("ran_ms", BigInteger),
    Column("log_lines", JSONB, comment="what was logged last in the attempt that ends by this"),
    comment="all that happened to each job",
    postgresql_partition_by=BY_DAY,
)

WORKFLOWS = Table(
    "workflows",
    METADATA,
    Column("tenant", _key(), primary_key=True),
    Column("id", _key(), primary_key=True),
    Column("name", _key(), nullable=False),
    Column("state", _key(), nullable=False),
    Column("turn", BigInteger, nullable=False, comment="grows with every change; an older one never replaces it"),
    Column("place", Double, nullable=False, comment="in lists: the Unix ms of its creation, made unlike all others"),
    Column("created_at", DateTime(timezone=True), primary_key=True),
    Column("finished_at", DateTime(timezone=True), nullable=False),
    Column("run", Integer, nullable=False),
    Column("on_failure", Text, nullable=False),
    Column("retention_s", Double, nullable=False),
    Column("counts", JSONB, nullable=False, comment="how many nodes are in which state"),
    Column("result", JSONB),
    Column("reason", Text, comment="why it failed or was cancelled, or why there is no result"),
    Column("trace_id", Text),
    Column("submitted_by", _key(), comment="as of a job"),
    Index("workflows_by_place", "tenant", "place"),
    Index("workflows_by_name", "tenant", "name", "place"),
    comment="the workflows that have ended",
    postgresql_partition_by=BY_DAY,
)

WORKFLOW_NODES = Table(
    "workflow_nodes",
    METADATA,
    Column("tenant", _key(), primary_key=True),
    Column("workflow_id", _key(), primary_key=True),
    Column("place", Integer, primary_key=True, comment="in the order of the submission, from 0"),
    Column("turn", BigInteger, nullable=False, comment="of the workflow"),
    Column("name", Text, nullable=False),
    Column("type", _key(), nullable=False),
    Column("state", _key(), nullable=False),
    Column("created_at", DateTime(timezone=True), primary_key=True, comment="of the workflow"),
    Column("job_id", _key(), comment="of the last run; of one that was started and has no map"),
    Column("reason", Text),
    Column("after", JSONB, comment="the names of the nodes that it waited for"),
    Column("optional", Boolean, nullable=False),
    Column("items", JSONB, comment="how many of its jobs are in which state, of one with a job for each item"),
    Column("started_at", DateTime(timezone=True), comment="when it could start, in its last run"),
    Column("finished_at", DateTime(timezone=True), comment="when its workflow learned of its end"),
    Column("inputs", JSONB, comment="whose results it took: names of nodes, with the bytes of each"),
    comment="the nodes of workflows that have ended",
    postgresql_partition_by=BY_DAY,
)

WORKER_SPANS = Table(
    "worker_spans",
    METADATA,
    Column("tenant", _key(), primary_key=True),
    Column("worker", _key(), primary_key=True),
    Column("first_at", DateTime(timezone=True), nullable=False),
    Column("last_at", DateTime(timezone=True), nullable=False, comment="not before its last transition"),
    Column("release", Text, comment="that it runs, as its heartbeat says"),
    comment="when each worker was seen, so that its jobs are looked for in that time alone",
)


def _dead(name: str, comment: str, *, is_keyed: bool) -> Table:
    return Table(
        name,
        METADATA,
        Column("tenant", _key(), primary_key=is_keyed, nullable=False),
        Column("day", Date, primary_key=is_keyed, nullable=False, comment="of the creation of the jobs, in UTC"),
        Column("type", _key(), primary_key=is_keyed, nullable=False),
        Column("fingerprint", _key(), primary_key=is_keyed, nullable=False, comment="empty without one"),
        Column("n", Integer, nullable=False),
        comment=comment,
    )


DEAD_COUNTS = _dead("dead_counts", "how many jobs of a day are dead", is_keyed=True)
DEAD_CHANGES = _dead(
    "dead_changes", "by how many they have become more or fewer since they were counted", is_keyed=False
)
"""Triggers of `jobs` add to it; both tables together are right at any time."""


def _stats(name: str, comment: str) -> Table:
    return Table(
        name,
        METADATA,
        Column("tenant", _key(), primary_key=True),
        Column("type", _key(), primary_key=True),
        Column("at", DateTime(timezone=True), primary_key=True, comment="its begin"),
        Column("kind", _key(), primary_key=True, comment="of the transitions"),
        Column("bucket", SmallInteger, primary_key=True, comment="of the durations; -1 without one"),
        Column("shard", SmallInteger, primary_key=True, comment="of the writer"),
        Column("n", BigInteger, nullable=False),
        Column("sum_ms", BigInteger, nullable=False),
        Index(f"{name}_by_time", "at", "tenant"),
        comment=comment,
    )


STATS_MINUTES = _stats("stats_minutes", "how many transitions there were in each minute")
STATS_HOURS = _stats("stats_hours", "how many transitions there were in each hour")

EVENT_GAPS = Table(
    "event_gaps",
    METADATA,
    Column("tenant", _key(), primary_key=True),
    Column("type", _key(), primary_key=True),
    Column("partition", SmallInteger, primary_key=True),
    Column("first_at", DateTime(timezone=True), primary_key=True),
    Column("last_at", DateTime(timezone=True), nullable=False),
    Column("closed_at", DateTime(timezone=True), comment="when its jobs had been read again"),
    Column("taken_by", Text, comment="the process that reads them"),
    Column("taken_until", DateTime(timezone=True)),
    comment="times of which events of a queue were lost",
)

ERASED_JOBS = Table(
    "erased_jobs",
    METADATA,
    Column("tenant", _key(), primary_key=True),
    Column("id", _key(), primary_key=True),
    Column("erased_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Index("erased_jobs_by_time", "erased_at"),
    comment="jobs of which nothing but id, type, times and outcome is stored, whatever comes late",
)

WEBHOOK_ENDPOINTS = Table(
    "webhook_endpoints",
    METADATA,
    Column("tenant", _key(), primary_key=True),
    Column("id", _key(), primary_key=True),
    Column("url", Text, nullable=False),
    Column("types", ARRAY(Text), nullable=False, comment="job types, or patterns of them"),
    Column("events", ARRAY(Text), nullable=False),
    Column("payloads", Boolean, nullable=False, comment="whether calls have payload and result"),
    Column("description", Text, nullable=False),
    Column("salts", JSONB, nullable=False, comment="what its secrets are derived from, with a key of ingest"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("rotated_at", DateTime(timezone=True)),
    Column("enabled_at", DateTime(timezone=True), comment="events from then on go there"),
    Column("disabled_at", DateTime(timezone=True)),
    Column("disabled_reason", Text),
    Column("failing_since", DateTime(timezone=True), comment="since when every delivery has failed"),
    comment="where events of jobs go",
)

AUDIT_RECORDS = Table(
    "audit_records",
    METADATA,
    Column("tenant", _key(), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False, comment="its number in the chain"),
    Column("id", _key(), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, comment="when the request came"),
    Column("action", _key(), nullable=False),
    Column("outcome", _key(), nullable=False),
    Column("key_id", _key(), nullable=False, comment="who; empty where no credentials are asked for"),
    Column("target", _key(), nullable=False),
    Column("entry", Text, nullable=False, comment="all of it, as JSON"),
    Column("previous", _key(), nullable=False, comment="the hash of the record before"),
    Column("hash", _key(), nullable=False),
    # Of the record and not of the action, so that a month holds a whole stretch of each chain.
    Column("stored_at", DateTime(timezone=True), primary_key=True),
    Index("audit_records_by_id", "id"),
    Index("audit_records_by_key", "tenant", "key_id", "seq"),
    Index("audit_records_by_target", "tenant", "target", "seq"),
    comment="who changed what; records are only added",
    postgresql_partition_by="RANGE (stored_at)",
)

AUDIT_CUTS = Table(
    "audit_cuts",
    METADATA,
    Column("tenant", _key(), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", _key(), nullable=False),
    Column("cut_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    comment="the last record of each chain that its retention has dropped",
)

OPERATIONS = Table(
    "operations",
    METADATA,
    Column("tenant", _key(), primary_key=True),
    Column("id", _key(), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("resumes_to", Text, comment="the state of a paused one before the pause"),
    Column("detail", Text, nullable=False),
    Column("asked", JSONB, nullable=False, comment="as it was submitted"),
    Column("query", JSONB, comment="the frozen query; NULL where ids were given"),
    Column("cutoff_ms", BigInteger, nullable=False, comment="jobs that died later are left alone"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    Column("found", BigInteger, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("cursor", Text, comment="where the next page begins"),
    Column("is_exhausted", Boolean, nullable=False, comment="whether there is no next page"),
    Column("canary_ids", JSONB, nullable=False),
    Column("canary_until", DateTime(timezone=True)),
    Column("next_at", DateTime(timezone=True), nullable=False, comment="when the next page is due"),
    Column("lease", Text, comment="the dispatcher that works on it"),
    Column("lease_until", DateTime(timezone=True)),
    Column("samples", JSONB, nullable=False, server_default=text("'[]'"), comment="what a patch would change"),
    Column("refusals", JSONB, nullable=False, server_default=text("'[]'"), comment="the first jobs that were refused"),
    Column("job_id", Text, comment="the job that writes an export"),
    Column(
        "removed", JSONB, nullable=False, server_default=text("'{}'"), comment="what a deletion of a tenant has removed"
    ),
    Index("operations_due", "next_at", postgresql_where=text("finished_at IS NULL")),
    comment="decisions about many jobs, carried out page by page",
)
