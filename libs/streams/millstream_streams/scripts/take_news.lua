-- Lease jobs that have settled, and whose listeners have to be told.
--
-- Caller      dispatchers; any number at once
-- Idempotent  yes: what was leased is returned again after the lease, in the state that it is in then
-- Needs       numbers queue past moves dependents
-- KEYS        none but the hashes of the jobs, and the keys of _dependents.lua
-- ARGV[2]     how many jobs at most, 100 or fewer
-- ARGV[3]     ms of the lease
-- ARGV[4]     how many children of a job at most
-- Returns     {ms until there is more to tell: 0 when there is now, -1 when there is nothing; per job its id, its state
--             or `unknown`, its version, and then the children that do not know this version}

local now = now_ms()
local lease = int(now + tonumber(ARGV[3]))
local found = {}

local function take(id)
  local job = redis.pcall('HMGET', jobs .. id, 'state', 'version')
  local state = not job.err and job[1] or 'unknown'
  local version = state == 'unknown' and GONE or version_of(job[2], state)
  local children = {}
  -- One that was redriven since has nothing to tell until it settles again, which puts it here again.
  if SETTLED[state] or state == 'unknown' then
    local reply = redis.pcall('ZRANGEBYSCORE', children_key(id), '-inf', '(' .. int(version), 'LIMIT', 0, ARGV[4])
    if not reply.err then children = reply end
  end
  if #children == 0 then return settle_news(id) end
  redis.call('ZADD', outbox_key(), 'XX', lease, id)
  found[#found + 1] = {id, state, int(version), unpack(children)}
end

-- The first write, for a full Redis.
redis.call('ZREM', outbox_key(), '')
for _, id in ipairs(redis.call('ZRANGEBYSCORE', outbox_key(), '-inf', int(now), 'LIMIT', 0, ARGV[2])) do take(id) end
local head = redis.call('ZRANGE', outbox_key(), 0, 0, 'WITHSCORES')
local wait = -1
if head[2] then wait = math.max(0, tonumber(head[2]) - now) end
return {int(wait), found}
