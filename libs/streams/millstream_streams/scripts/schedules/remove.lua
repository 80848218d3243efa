-- Remove schedules and backfills. Jobs that were decided on start all the same.
--
-- Caller      ingest, dispatchers
-- Idempotent  yes
-- Needs       schedules
-- KEYS        1-2 as in _schedules.lua, written
-- ARGV[2..]   per name two values: name; the turn that was read, or '' for any
-- Returns     per name: 1 removed; 0 it has another turn, or is not there

local replies = {}

local function remove(name, turn)
  local key = schedule_prefix .. name
  local held = redis.pcall('HMGET', key, 'turn')
  -- One that is no hash, because another program wrote it, goes too.
  if turn ~= '' and held[1] ~= turn then return 0 end
  redis.call('ZREM', ticks, name)
  redis.call('PEXPIRE', key, '-1')
  return redis.call('HDEL', name_index, name)
end

for at = 2, #ARGV, 2 do replies[#replies + 1] = remove(ARGV[at], ARGV[at + 1]) end
return replies
