-- Move the jobs whose time has come to their ready streams.
--
-- Caller      dispatchers; any number at once, for each call takes what it finds and no two find the same
-- Idempotent  yes
-- KEYS        1-4, 6 as in _queue.lua, written
-- ARGV[2]     how many at most, 100 or fewer
-- ARGV[3]     ms for which an expired job can be read
-- Returns     {released, expired, ms until the next is due: 0 when more are due now, -1 when none waits}

local now = now_ms()
local limit, ttl_ms = tonumber(ARGV[2]), ARGV[3]
local released, expired = {}, {}

local function release(id, job)
  if job[1] ~= 'scheduled' then return end
  local version = next_version(job[3])
  local expires_at = tonumber(job[4])
  if expires_at and expires_at <= now then
    finish(id, 'expired', version, now, ttl_ms, job[6])
    note(expired, id, version, job[5])
  else
    make_ready(id, job[2], version, now)
    note(released, id, version, job[5])
  end
end

local ids = redis.call('ZRANGEBYSCORE', due, '-inf', int(now), 'LIMIT', 0, limit)
local found = {}
-- All is read before the first write: in a slot that is just moving a hash may be elsewhere already, which ends the
-- script, and then nothing may have left `due`.
for at, id in ipairs(ids) do
  found[at] = redis.call('HMGET', jobs .. id, 'state', 'priority', 'version', 'expires_at', 'deliveries', 'waited')
end
-- The first write frees memory: what is due must become ready even when it is what fills Redis.
if #ids > 0 then redis.call('ZREM', due, unpack(ids)) end
for at, id in ipairs(ids) do release(id, found[at]) end

emit('released', 'queued', now, '', released)
emit('expired', 'expired', now, '', expired)
local head = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
local wait = -1
if head[2] then wait = math.max(0, tonumber(head[2]) - now) end
return {noted(released), noted(expired), int(wait)}
