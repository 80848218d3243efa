-- Let dead jobs go: they end as cancelled, with the reason `discarded`.
--
-- Caller      ingest
-- Idempotent  yes: a job that is no longer dead answers -1
-- KEYS        5-6 as in _queue.lua, written
-- ARGV[2]     ms for which a discarded job can be read
-- ARGV[3..]   job ids
-- Returns     per job: 1 discarded; -1 it is not dead; -2 there is no such job
--
-- The first write frees memory: this is what an operator turns to when Redis is full.

local now = now_ms()
local ttl_ms = ARGV[2]
local replies, discarded = {}, {}

local function discard(id)
  local key = jobs .. id
  local job = redis.call('HMGET', key, 'state', 'dead_entry', 'version', 'deliveries', 'waited')
  if not job[1] then return -2 end
  if job[1] ~= 'dead' then return -1 end
  local version = next_version(job[3])
  redis.call('XDEL', dlq, job[2])
  redis.call('HDEL', key, 'dead_entry')
  finish(id, 'cancelled', version, now, ttl_ms, job[5], 'reason', 'discarded')
  note(discarded, id, version, job[4])
  return 1
end

for at = 3, #ARGV do replies[#replies + 1] = discard(ARGV[at]) end
emit('cancelled', 'cancelled', now, '', discarded, 'discarded')
return replies
