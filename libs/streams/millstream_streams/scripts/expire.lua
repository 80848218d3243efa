-- End the jobs that have not started in time.
--
-- Caller      dispatchers; any number at once
-- Idempotent  yes
-- KEYS        1-4, 6, 8 as in _queue.lua, written
-- ARGV[2]     how many at most, 100 or fewer
-- ARGV[3]     ms for which an expired job can be read
-- Returns     {expired, ms until the next expires: 0 when more are late now, -1 when none is left}
--
-- A claim and a release refuse what is late as well; this one serves the queues that nobody claims from.

local now = now_ms()
local limit, ttl_ms = tonumber(ARGV[2]), ARGV[3]
local expired = {}

local function expire(id, job)
  -- A job that was redriven has no expiry any more.
  if (tonumber(job[5]) or math.huge) > now then return end
  if job[1] == 'queued' then
    drop_entry(ready[stream_index(job[3])], job[2])
  elseif job[1] == 'scheduled' then
    redis.call('ZREM', due, id)
  else
    return
  end
  local version = next_version(job[4])
  finish(id, 'expired', version, now, ttl_ms, job[7])
  note(expired, id, version, job[6])
end

local ids = redis.call('ZRANGEBYSCORE', expiring, '-inf', int(now), 'LIMIT', 0, limit)
local found = {}
-- All is read before the first write, as in release_due.
for at, id in ipairs(ids) do
  found[at] = redis.call('HMGET', jobs .. id, 'state', 'entry', 'priority', 'version', 'expires_at', 'deliveries',
    'waited')
end
-- The first write frees memory.
if #ids > 0 then redis.call('ZREM', expiring, unpack(ids)) end
for at, id in ipairs(ids) do expire(id, found[at]) end
emit('expired', 'expired', now, '', expired)
local head = redis.call('ZRANGE', expiring, 0, 0, 'WITHSCORES')
local wait = -1
if head[2] then wait = math.max(0, tonumber(head[2]) - now) end
return {noted(expired), int(wait)}
