-- Confirm the jobs of the last round, and take further ones that are to be stored, under a lease.
--
-- Caller      dispatchers
-- Idempotent  as far as it confirms; a lease that nothing uses ends, and another dispatcher takes the job
-- Needs       numbers schedules
-- KEYS        3-4 as in _schedules.lua, written
-- ARGV[2]     the most jobs
-- ARGV[3]     ms of the lease
-- ARGV[4..]   per job two values: id; why it was refused, or '' when it is stored
-- Returns     Unix ms of this call; ms until the next job may be taken, -1 when there is none; then per job two values:
--             id; what `starts` has of it

local now = now_ms()
local replies, lease = {}, {}

-- The first write, see _queue.lua: a full Redis confirms, and leases what waits for room.
redis.call('ZREM', outbox, '')

-- Count a refusal where the schedule shows it.
local function refuse(id, reason)
  local name = string.match(redis.call('HGET', decisions, id) or '', '^(.-) %d+ %d+\n')
  if not name then return end
  local key = schedule_prefix .. name
  local failed = redis.pcall('HMGET', key, 'failed', 'turn')
  if failed.err or not failed[2] then return end
  redis.call('HSET', key, 'failed', int((tonumber(failed[1]) or 0) + 1), 'error', reason)
end

for at = 4, #ARGV, 2 do
  local id, reason = ARGV[at], ARGV[at + 1]
  if reason ~= '' then refuse(id, reason) end
  redis.call('HDEL', decisions, id)
  redis.call('ZREM', outbox, id)
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', outbox, '-inf', int(now), 'LIMIT', 0, ARGV[2])) do
  local text = redis.call('HGET', decisions, id)
  if text then
    replies[#replies + 1], replies[#replies + 2] = id, text
    lease[#lease + 1], lease[#lease + 2] = int(now + tonumber(ARGV[3])), id
  else
    redis.call('ZREM', outbox, id)
  end
end
if #lease > 0 then redis.call('ZADD', outbox, unpack(lease)) end
return {int(now), until_first(outbox, now), replies}
