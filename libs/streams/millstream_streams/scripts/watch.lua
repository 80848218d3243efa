-- Ask for a hint with a job's id when the job has settled.
--
-- Caller      ingest, for `?wait`
-- Idempotent  yes
-- Needs       queue
-- KEYS        none of its own; the queue's keys name the slot
-- ARGV[2]     job id
-- Returns     1 the hint will come; 0 it has settled already; -2 there is no such job

local key = jobs .. ARGV[2]
local state, waited = unpack(redis.call('HMGET', key, 'state', 'waited'))
if not state then return -2 end
if state == 'succeeded' or state == 'cancelled' or state == 'expired' or state == 'dead' then return 0 end
if not string.find(waited or '', '1', 1, true) then redis.call('HSET', key, 'waited', (waited or '') .. '1') end
return 1
