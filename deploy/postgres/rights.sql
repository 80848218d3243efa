-- The rights of the services on the history database, for two users that own nothing.
--
-- Run it as the user that runs `millstream migrate`, after each migration, in the schema of the tables:
--   psql -v dispatcher=millstream_dispatcher -v ingest=millstream_ingest -f rights.sql "$MILLSTREAM_HISTORY_URL"
--
-- No service changes tables: days are made and dropped by functions with the rights of their owner. Dispatchers need
-- temporary tables, into which they copy each batch.

\set ON_ERROR_STOP on

SELECT format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO %I', current_database(), :'dispatcher') \gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), :'ingest') \gexec
SELECT format('GRANT USAGE ON SCHEMA %I TO %I, %I', current_schema(), :'dispatcher', :'ingest') \gexec
SELECT format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I', current_schema(), :'ingest') \gexec
SELECT format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO %I', current_schema(), :'dispatcher') \gexec
SELECT format('GRANT INSERT, UPDATE, DELETE ON webhook_endpoints, operations TO %I', :'ingest') \gexec
SELECT format('REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM %I', :'dispatcher') \gexec
SELECT format('GRANT EXECUTE ON FUNCTION history_make_day, history_drop_day, history_sweep TO %I', :'dispatcher') \gexec
-- Audit records are only added, and no service writes where their chains were cut. Months that are made later have no
-- rights of their own: a dispatcher reaches them through the whole table.
SELECT format('REVOKE UPDATE, DELETE, TRUNCATE ON %I FROM %I', relname, :'dispatcher') FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND relname ~ '^audit_(records|cuts)' \gexec
SELECT format('REVOKE INSERT ON audit_cuts FROM %I', :'dispatcher') \gexec
SELECT format('GRANT EXECUTE ON FUNCTION audit_make_month, audit_drop_month TO %I', :'dispatcher') \gexec
