-- Lease blocked jobs that the linker has to look at: their parents may not know of them.
--
-- Caller      dispatchers; any number at once
-- Idempotent  yes: what was leased is returned again after the lease
-- Needs       numbers queue past moves dependents
-- KEYS        none but the hashes of the jobs, and the keys of _dependents.lua
-- ARGV[2]     how many at most, 100 or fewer
-- ARGV[3]     ms of the lease
-- Returns     {ms until the next look: 0 when more are due now, -1 when none is blocked; per job its id, and then its
--             open parents}

local now = now_ms()
local found = {}

-- The first write, for a full Redis.
redis.call('ZREM', blocked_key(), '')
for _, id in ipairs(redis.call('ZRANGEBYSCORE', blocked_key(), '-inf', int(now), 'LIMIT', 0, ARGV[2])) do
  local state = redis.pcall('HGET', jobs .. id, 'state')
  local open = redis.pcall('SMEMBERS', open_key(id))
  if state == 'blocked' then
    redis.call('ZADD', blocked_key(), 'XX', int(now + tonumber(ARGV[3])), id)
    found[#found + 1] = {id, unpack(open.err and {} or open)}
  elseif type(state) == 'table' or not is_foreign(state) then
    redis.call('ZREM', blocked_key(), id)
  end
end
return {until_first(blocked_key(), now), found}
