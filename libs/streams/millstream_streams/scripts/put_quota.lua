-- Note how many jobs of a tenant may run at once, where what is noted is still what the caller has read (ADR 130). It is run
-- on what stands for the tenant where scripts have a queue.
--
-- Caller      ingest, dispatchers
-- Idempotent  yes: what is as it should be already is not compared
-- Needs       queue
-- KEYS        7 as in _queue.lua, written
-- ARGV[2]     what was read, or '' for no quota
-- ARGV[3]     what it becomes, or '' for no quota
-- Returns     1 when it is noted; 0 when nothing was changed, because it is not what was read

local read, becomes = ARGV[2], ARGV[3]
local held = redis.call('HGET', settings, 'quota') or ''
if held == becomes then return 1 end
if held ~= read then return 0 end
-- The first write: a quota is set also when Redis is full.
redis.call('HDEL', settings, '')
-- A quota that is removed stays as an empty one until no queue has a part of it: see end_deal.lua.
redis.call('HSET', settings, 'quota', becomes)
return 1
