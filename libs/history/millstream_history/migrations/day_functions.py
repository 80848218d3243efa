"""The functions that make and drop partitions: a dispatcher needs no right to change tables.

They run with the rights of the user that migrates, under a search path that no caller can change. A lock that is not
there within a second ends the call: what waits for a lock of a whole table makes all others wait behind it.
"""

from collections.abc import Mapping

TABLES = ("jobs", "transitions", "workflows", "workflow_nodes")
"""The tables that have a partition of each day; the last two are those of revision 0009."""

NAMES = ("history_make_day(date)", "history_drop_day(date)", "history_sweep(timestamptz, integer)")

_HEAD = """
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = {path} SET lock_timeout = '1s' SET timezone = 'UTC'
"""

_MAKE_DAY = """
CREATE OR REPLACE FUNCTION history_make_day(day date) RETURNS boolean {head} AS $$
DECLARE
    begins timestamptz := day;
    ends timestamptz := day + 1;
    whole text;
    part text;
    made boolean := false;
BEGIN
    IF abs(day - current_date) > 60 THEN
        RAISE EXCEPTION 'the day % is too far from today', day;
    END IF;
    FOREACH whole IN ARRAY ARRAY[{tables}] LOOP
        part := whole || to_char(day, '"_"YYYYMMDD');
        CONTINUE WHEN to_regclass(part) IS NOT NULL;
        EXECUTE format(
            'CREATE TABLE %I (LIKE %I INCLUDING ALL, CONSTRAINT is_of_day CHECK (created_at >= %L AND created_at < %L))'
            ' WITH (autovacuum_vacuum_insert_scale_factor = 0.02)', part, whole, begins, ends);
        -- Rows of the day that came before its partition; none may come between them and ATTACH.
        EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', whole || '_default');
        EXECUTE format(
            'WITH moved AS (DELETE FROM %I WHERE created_at >= %L AND created_at < %L RETURNING *) '
            'INSERT INTO %I SELECT * FROM moved', whole || '_default', begins, ends, part);{count_moved}
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', whole, part, begins, ends);
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT is_of_day', part);
        made := true;
    END LOOP;
    RETURN made;
END $$
"""

_DROP_DAY = """
CREATE OR REPLACE FUNCTION history_drop_day(day date) RETURNS bigint {head} AS $$
DECLARE
    day_of_jobs text := to_char(day, '"jobs_"YYYYMMDD');
    day_of_transitions text := to_char(day, '"transitions_"YYYYMMDD');
    kept bigint;
BEGIN
    IF day > current_date - 2 THEN
        RAISE EXCEPTION 'the day % is too young to be dropped', day;
    END IF;
    EXECUTE format('ALTER TABLE jobs DETACH PARTITION %I', day_of_jobs);
    EXECUTE format('ALTER TABLE transitions DETACH PARTITION %I', day_of_transitions);
    -- They land in the default partitions, for there is none of this day any more.
    EXECUTE format(
        'INSERT INTO transitions SELECT step.* FROM %I AS step JOIN %I AS job '
        'ON (job.tenant, job.id, job.created_at) = (step.tenant, step.job_id, step.created_at) WHERE {lives}',
        day_of_transitions, day_of_jobs);
    EXECUTE format('INSERT INTO jobs SELECT job.* FROM %I AS job WHERE {lives}', day_of_jobs);
    GET DIAGNOSTICS kept = ROW_COUNT;
    EXECUTE format('DROP TABLE %I, %I', day_of_jobs, day_of_transitions);
{forget_counts}{also_dropped}    RETURN kept;
END $$
"""

_SWEEP = """
CREATE OR REPLACE FUNCTION history_sweep(before timestamptz, most integer) RETURNS bigint {head} AS $$
DECLARE
    swept bigint;
BEGIN
    IF before > now() - interval '1 day' THEN
        RAISE EXCEPTION 'what ended after % is too young to be swept', before;
    END IF;
    WITH old AS (
        SELECT tenant, id, created_at FROM jobs_default
        WHERE finished_at < before OR (outcome = 'unknown' AND created_at < before)
        ORDER BY tenant, id, created_at LIMIT most FOR UPDATE SKIP LOCKED
    ), steps AS (
        DELETE FROM transitions_default AS step USING old
        WHERE (step.tenant, step.job_id, step.created_at) = (old.tenant, old.id, old.created_at)
    )
    DELETE FROM jobs_default AS job USING old
    WHERE (job.tenant, job.id, job.created_at) = (old.tenant, old.id, old.created_at);
    GET DIAGNOSTICS swept = ROW_COUNT;
{also_swept}    RETURN swept;
END $$
"""

# Doubled quotes: it stands in a text of the function.
_LIVES = (
    "job.state NOT IN (''succeeded'', ''cancelled'', ''expired'', ''dead'') "
    "AND job.outcome IS DISTINCT FROM ''unknown''"
)


# The trigger of the default partition has seen them go; a table that is not attached yet has none to see them come.
_COUNT_MOVED = """
        IF whole = 'jobs' THEN
            EXECUTE format(
                'INSERT INTO dead_changes (tenant, day, type, fingerprint, n) '
                'SELECT tenant, %L::date, type, coalesce(fingerprint, ''''), count(*) '
                'FROM %I WHERE outcome = ''dead'' GROUP BY 1, 3, 4', day, part);
        END IF;"""
_FORGET_COUNTS = """
    DELETE FROM dead_counts AS counted WHERE counted.day = history_drop_day.day;
    DELETE FROM dead_changes AS counted WHERE counted.day = history_drop_day.day;
"""

_DROP_WORKFLOWS = """
    -- Those that live are not stored.
    EXECUTE format('DROP TABLE IF EXISTS %I, %I',
        to_char(day, '"workflows_"YYYYMMDD'), to_char(day, '"workflow_nodes_"YYYYMMDD'));
"""

_SWEEP_WORKFLOWS = """
    WITH old AS (
        SELECT tenant, id, created_at FROM workflows_default WHERE finished_at < before
        ORDER BY tenant, id, created_at LIMIT most FOR UPDATE SKIP LOCKED
    ), nodes AS (
        DELETE FROM workflow_nodes_default AS node USING old
        WHERE (node.tenant, node.workflow_id, node.created_at) = (old.tenant, old.id, old.created_at)
    )
    DELETE FROM workflows_default AS workflow USING old
    WHERE (workflow.tenant, workflow.id, workflow.created_at) = (old.tenant, old.id, old.created_at);
"""


def statements(schema: str, *, with_workflows: bool = False, counts_dead: bool = False) -> list[str]:
    """Return the statements that make the functions, for tables in this schema; its name is quoted.

    Those of revision 0009 and later are `with_workflows`, and those of 0010 and later count dead jobs as well; those of
    earlier ones know jobs alone.
    """
    parts = {
        "head": _HEAD.format(path=f"{schema}, pg_temp"),
        "lives": _LIVES,
        "tables": ", ".join(f"'{name}'" for name in (TABLES if with_workflows else TABLES[:2])),
        "also_dropped": _DROP_WORKFLOWS if with_workflows else "",
        "also_swept": _SWEEP_WORKFLOWS if with_workflows else "",
        "count_moved": _COUNT_MOVED if counts_dead else "",
        "forget_counts": _FORGET_COUNTS if counts_dead else "",
    }
    made = [_filled(text, parts) for text in (_MAKE_DAY, _DROP_DAY, _SWEEP)]
    return [*made, *(f"REVOKE ALL ON FUNCTION {name} FROM PUBLIC" for name in NAMES)]


def _filled(text: str, parts: Mapping[str, str]) -> str:
    for name, part in parts.items():
        text = text.replace("{" + name + "}", part)
    return text
