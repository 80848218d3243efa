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
