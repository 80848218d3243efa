-- Ask the worker that runs a job where its handler is.
--
-- Caller      ingest
-- Idempotent  yes
-- Needs       numbers queue moves
-- KEYS        none of its own; the queue's keys name the slot
-- ARGV[2]     job id
-- ARGV[3]     number of the request, under which the worker answers
-- Returns     2 its worker was asked; -1 it does not run; -2 there is no such job
--
-- The request goes over the channel of cancellations, so workers need no further right. A worker that does not know
-- such requests takes it for the id of a job that it does not have.

local state, worker = unpack(redis.call('HMGET', jobs .. ARGV[2], 'state', 'worker'))
if not state then return -2 end
if state ~= 'running' then return -1 end
hint('cancel:' .. (worker or ''), 'stack ' .. ARGV[3] .. ' ' .. ARGV[2])
return 2
