-- Note that all parents of blocked jobs know of them: the linker looks at these again later, in case Redis loses it.
--
-- Caller      ingest, workers and dispatchers
-- Idempotent  yes
-- Needs       numbers queue moves dependents
-- KEYS        none but the hashes of the jobs, and the keys of _dependents.lua
-- ARGV[2]     the shortest time in ms until the next look; after a while it is half the age of the job
-- ARGV[3]     the longest such time in ms
-- ARGV[4..]   job ids
-- Returns     how many of them are blocked

local now = now_ms()
local shortest, longest = tonumber(ARGV[2]), tonumber(ARGV[3])
local count = 0

-- The first write, for a full Redis.
redis.call('ZREM', blocked_key(), '')
for at = 4, #ARGV do
  local id = ARGV[at]
  local job = redis.pcall('HMGET', jobs .. id, 'state', 'blocked_at')
  if job[1] == 'blocked' then
    local age = now - (tonumber(job[2]) or now)
    redis.call('ZADD', blocked_key(), 'XX', int(now + math.min(longest, math.max(shortest, math.floor(age / 2)))), id)
    count = count + 1
  end
end
return count
