-- Take names that are due under a lease: until it ends, or a change of the name, no other dispatcher takes them.
--
-- Caller      dispatchers
-- Idempotent  no, and need not be: a lease that nothing uses ends
-- Needs       numbers schedules
-- KEYS        1, 4 as in _schedules.lua, 1 written and 4 read
-- ARGV[2]     the most names
-- ARGV[3]     ms of the lease
-- Returns     Unix ms of this call; ms until the next name is due, -1 when there is none; then per name three values:
--             name; those of its `jobs` that are not stored yet, with a space between; fields and values of its hash
--             without `job`, empty for one that is no hash

local now = now_ms()
local found = redis.call('ZRANGEBYSCORE', ticks, '-inf', int(now), 'LIMIT', 0, ARGV[2])
local replies, lease = {}, {}

-- The first write, see _queue.lua: ZADD alone would be refused by a full Redis.
redis.call('ZREM', ticks, '')

local function is_start(id) return redis.call('HEXISTS', decisions, id) == 1 end

local function read(name)
  local fields, ids = {}, ''
  local held = redis.pcall('HGETALL', schedule_prefix .. name)
  if held.err then return fields, ids end
  for at = 1, #held, 2 do
    if held[at] == 'jobs' then ids = held[at + 1] end
    if held[at] ~= 'job' then
      fields[#fields + 1], fields[#fields + 2] = held[at], held[at + 1]
    end
  end
  return fields, ids
end

for _, name in ipairs(found) do
  local fields, ids = read(name)
  local waiting = {}
  for id in string.gmatch(ids, '%S+') do
    if is_start(id) then waiting[#waiting + 1] = id end
  end
  local last = #replies
  replies[last + 1], replies[last + 2], replies[last + 3] = name, table.concat(waiting, ' '), fields
  lease[#lease + 1], lease[#lease + 2] = int(now + tonumber(ARGV[3])), name
end
if #lease > 0 then redis.call('ZADD', ticks, unpack(lease)) end
return {int(now), until_first(ticks, now), replies}
