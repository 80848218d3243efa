-- Ask a worker to take no more jobs, and to end once those that it has have ended.
--
-- Caller      ingest
-- Idempotent  yes
-- Needs       numbers fleet
-- KEYS        3 as in _fleet.lua
-- ARGV[1]     worker
-- Returns     1 it was asked; 0 there is no such worker
--
-- The order goes over the channel of cancellations, as requests for stacks do. A worker that does not know it takes it
-- for the id of a job that it does not have.

if not redis.call('HGET', workers, ARGV[1]) then return 0 end
redis.pcall('PUBLISH', string.match(workers, '^(.-):{') .. ':hints:cancel:' .. ARGV[1], 'drain')
return 1
