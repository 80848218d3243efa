"""The functions of revision 0001 that make and drop partitions: a dispatcher needs no right to change tables.

They run with the rights of the user that migrates, under a search path that no caller can change. A lock that is not
there within a second ends the call: what waits for a lock of a whole table makes all others wait behind it.
"""

NAMES = ("history_make_day(date)", "history_drop_day(date)", "history_sweep(timestamptz, integer)")

_HEAD = """
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = {path} SET lock_timeout = '1s' SET timezone = 'UTC'
"""

_MAKE_DAY = """
CREATE FUNCTION history_make_day(day date) RETURNS boolean {head} AS $$
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
    FOREACH whole IN ARRAY ARRAY['jobs', 'transitions'] LOOP
        part := whole || to_char(day, '"_"YYYYMMDD');
        CONTINUE WHEN to_regclass(part) IS NOT NULL;
        EXECUTE format(
            'CREATE TABLE %I (LIKE %I INCLUDING ALL, CONSTRAINT is_of_day CHECK (created_at >= %L AND created_at < %L))'
            ' WITH (autovacuum_vacuum_insert_scale_factor = 0.02)', part, whole, begins, ends);
        -- Rows of the day that came before its partition; none may come between them and ATTACH.
        EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', whole || '_default');
        EXECUTE format(
            'WITH moved AS (DELETE FROM %I WHERE created_at >= %L AND created_at < %L RETURNING *) '
            'INSERT INTO %I SELECT * FROM moved', whole || '_default', begins, ends, part);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', whole, part, begins, ends);
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT is_of_day', part);
        made := true;
    END LOOP;
    RETURN made;
END $$
"""

_DROP_DAY = """
CREATE FUNCTION history_drop_day(day date) RETURNS bigint {head} AS $$
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
    RETURN kept;
END $$
"""

_SWEEP = """
CREATE FUNCTION history_sweep(before timestamptz, most integer) RETURNS bigint {head} AS $$
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
    RETURN swept;
END $$
"""

# Doubled quotes: it stands in a text of the function.
_LIVES = (
    "job.state NOT IN (''succeeded'', ''cancelled'', ''expired'', ''dead'') "
    "AND job.outcome IS DISTINCT FROM ''unknown''"
)


def statements(schema: str) -> list[str]:
    """Return the statements that make the functions, for tables in this schema; its name is quoted."""
    head = _HEAD.format(path=f"{schema}, pg_temp")
    made = [text.replace("{head}", head).replace("{lives}", _LIVES) for text in (_MAKE_DAY, _DROP_DAY, _SWEEP)]
    return [*made, *(f"REVOKE ALL ON FUNCTION {name} FROM PUBLIC" for name in NAMES)]
