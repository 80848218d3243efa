"""The audit trail: records that are only ever added, and where their chains were cut by their retention.

A month goes as a whole, by a function, as the days of jobs do. The trigger keeps the owner of the table, too, from
changing a record by mistake; the rights of the services do not let them try.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_HEAD = """
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = {path} SET lock_timeout = '1s' SET timezone = 'UTC'
"""
_KEEP = """
CREATE FUNCTION audit_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit records are only added';
END $$
"""
_MAKE_MONTH = """
CREATE FUNCTION audit_make_month(month date) RETURNS integer {head} AS $$
DECLARE
    begins timestamptz := date_trunc('month', month::timestamptz);
    part text := 'audit_records' || to_char(month, '"_"YYYYMM');
BEGIN
    IF abs(month - current_date) > 100 THEN
        RAISE EXCEPTION 'the month of % is too far from today', month;
    END IF;
    IF to_regclass(part) IS NOT NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format('CREATE TABLE %I PARTITION OF audit_records FOR VALUES FROM (%L) TO (%L)',
        part, begins, begins + interval '1 month');
    RETURN 1;
END $$
"""
_DROP_MONTH = """
CREATE FUNCTION audit_drop_month(month date) RETURNS bigint {head} AS $$
DECLARE
    part text := 'audit_records' || to_char(month, '"_"YYYYMM');
    dropped bigint;
BEGIN
    IF date_trunc('month', month::timestamptz) + interval '1 month' > now() - interval '30 days' THEN
        RAISE EXCEPTION 'the month of % is too young to be dropped', month;
    END IF;
    EXECUTE format(
        'INSERT INTO audit_cuts (tenant, seq, hash) '
        'SELECT DISTINCT ON (tenant) tenant, seq, hash FROM %I ORDER BY tenant, seq DESC', part);
    EXECUTE format('SELECT count(*) FROM %I', part) INTO dropped;
    EXECUTE format('DROP TABLE %I', part);
    RETURN dropped;
END $$
"""
_FUNCTIONS = ("audit_make_month(date)", "audit_drop_month(date)")


def upgrade() -> None:
    """Make the change."""
    key = sa.Text(collation="C")
    op.create_table(
        "audit_records",
        sa.Column("tenant", key, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False, comment="its number in the chain"),
        sa.Column("id", key, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, comment="when the request came"),
        sa.Column("action", key, nullable=False),
        sa.Column("outcome", key, nullable=False),
        sa.Column("key_id", key, nullable=False, comment="who; empty where no credentials are asked for"),
        sa.Column("target", key, nullable=False),
        sa.Column("entry", sa.Text, nullable=False, comment="all of it, as JSON"),
        sa.Column("previous", key, nullable=False, comment="the hash of the record before"),
        sa.Column("hash", key, nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), primary_key=True),
        comment="who changed what; records are only added",
        postgresql_partition_by="RANGE (stored_at)",
    )
    op.create_index("audit_records_by_id", "audit_records", ["id"])
    op.create_index("audit_records_by_key", "audit_records", ["tenant", "key_id", "seq"])
    op.create_index("audit_records_by_target", "audit_records", ["tenant", "target", "seq"])
    op.create_table(
        "audit_cuts",
        sa.Column("tenant", key, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("hash", key, nullable=False),
        sa.Column("cut_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
        comment="the last record of each chain that its retention has dropped",
    )
    execute = op.get_bind().exec_driver_sql
    schema = str(execute("SELECT quote_ident(current_schema())").scalar_one())
    for made in (_KEEP, _MAKE_MONTH, _DROP_MONTH):
        execute(made.replace("{head}", _HEAD.format(path=f"{schema}, pg_temp")))
    for name in _FUNCTIONS:
        execute(f"REVOKE ALL ON FUNCTION {name} FROM PUBLIC")
    for table in ("audit_records", "audit_cuts"):
        execute(
            f"CREATE TRIGGER keeps_records BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW "
            "EXECUTE FUNCTION audit_keep()"
        )


def downgrade() -> None:
    """Take the change back."""
    op.drop_table("audit_cuts")
    op.drop_table("audit_records")
    for name in (*_FUNCTIONS, "audit_keep()"):
        op.execute(f"DROP FUNCTION {name}")
