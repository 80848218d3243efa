"""How many jobs of each day are dead, by type and fingerprint; and an index of dead jobs by when they died.

Triggers count, so that every writer is counted: also the erasure, the sweep, and a release that knows nothing of this.
"""

import sqlalchemy as sa
from alembic import op

from millstream_history.migrations import day_functions

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_COUNT = """
CREATE FUNCTION history_count_dead() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = {path} AS $$
BEGIN
    -- Rows are added and none is changed: writers of jobs of one group would wait for each other.
    IF TG_OP <> 'INSERT' AND OLD.outcome = 'dead' THEN
        INSERT INTO dead_changes (tenant, day, type, fingerprint, n)
        VALUES (OLD.tenant, (OLD.created_at AT TIME ZONE 'UTC')::date, OLD.type, coalesce(OLD.fingerprint, ''), -1);
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.outcome = 'dead' THEN
        INSERT INTO dead_changes (tenant, day, type, fingerprint, n)
        VALUES (NEW.tenant, (NEW.created_at AT TIME ZONE 'UTC')::date, NEW.type, coalesce(NEW.fingerprint, ''), 1);
    END IF;
    RETURN NULL;
END $$
"""
_FORGET = """
CREATE FUNCTION history_forget_dead_counts() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = {path}
AS $$
BEGIN
    DELETE FROM dead_counts;
    DELETE FROM dead_changes;
    RETURN NULL;
END $$
"""
_IS_OTHER = "(OLD.outcome IS DISTINCT FROM NEW.outcome OR OLD.fingerprint IS DISTINCT FROM NEW.fingerprint)"
_TRIGGERS = (
    ("inserted", "INSERT", "NEW.outcome = 'dead'"),
    ("updated", "UPDATE", f"(OLD.outcome = 'dead' OR NEW.outcome = 'dead') AND {_IS_OTHER}"),
    ("deleted", "DELETE", "OLD.outcome = 'dead'"),
)
_COUNT_ALL = (
    "INSERT INTO dead_counts (tenant, day, type, fingerprint, n) "
    "SELECT tenant, (created_at AT TIME ZONE 'UTC')::date, type, coalesce(fingerprint, ''), count(*) "
    "FROM jobs WHERE outcome = 'dead' GROUP BY 1, 2, 3, 4"
)
_INDEX = (
    "CREATE INDEX jobs_by_death ON jobs (tenant, finished_at) INCLUDE (type, fingerprint, created_at) "
    "WHERE outcome = 'dead'"
)


def upgrade() -> None:
    """Make the change."""
    _create("dead_counts", "how many jobs of a day are dead", is_keyed=True)
    _create("dead_changes", "by how many they have become more or fewer since they were counted", is_keyed=False)
    schema = _schema()
    for made in (_COUNT, _FORGET):
        op.get_bind().exec_driver_sql(made.replace("{path}", f"{schema}, pg_temp"))
    for name in ("history_count_dead", "history_forget_dead_counts"):
        op.execute(f"REVOKE ALL ON FUNCTION {name}() FROM PUBLIC")
    # The lock that triggers take keeps writers away until the end, so that no job is counted twice or not at all.
    for word, event, condition in _TRIGGERS:
        op.execute(
            f"CREATE TRIGGER counts_dead_if_{word} AFTER {event} ON jobs FOR EACH ROW WHEN ({condition}) "
            "EXECUTE FUNCTION history_count_dead()"
        )
    op.execute(
        "CREATE TRIGGER forgets_dead_counts AFTER TRUNCATE ON jobs EXECUTE FUNCTION history_forget_dead_counts()"
    )
    op.execute(_COUNT_ALL)
    op.execute(_INDEX)
    for statement in day_functions.statements(schema, with_workflows=True, counts_dead=True):
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    """Take the change back."""
    for statement in day_functions.statements(_schema(), with_workflows=True):
        op.get_bind().exec_driver_sql(statement)
    op.execute("DROP INDEX jobs_by_death")
    op.execute("DROP FUNCTION history_count_dead() CASCADE")
    op.execute("DROP FUNCTION history_forget_dead_counts() CASCADE")
    op.drop_table("dead_changes")
    op.drop_table("dead_counts")


def _create(name: str, comment: str, *, is_keyed: bool) -> None:
    op.create_table(
        name,
        sa.Column("tenant", sa.Text(collation="C"), primary_key=is_keyed, nullable=False),
        sa.Column("day", sa.Date, primary_key=is_keyed, nullable=False, comment="of the creation of the jobs, in UTC"),
        sa.Column("type", sa.Text(collation="C"), primary_key=is_keyed, nullable=False),
        sa.Column(
            "fingerprint", sa.Text(collation="C"), primary_key=is_keyed, nullable=False, comment="empty without one"
        ),
        sa.Column("n", sa.Integer, nullable=False),
        comment=comment,
    )


def _schema() -> str:
    return str(op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one())
