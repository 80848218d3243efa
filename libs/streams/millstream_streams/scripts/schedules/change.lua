-- Change schedules and backfills that nothing else has changed, and decide that jobs start.
--
-- Caller      ingest, workers, dispatchers
-- Idempotent  by turn: sent again, it changes nothing
-- Needs       numbers shards schedules
-- KEYS        1-4 as in _schedules.lua, written
-- ARGV[2..]   per change seven values:
--             name; the turn that was read, '' of one that is not there; Unix ms at which it is looked at next, '' for
--             never; its line in the index; fields and values (MessagePack array of strings); id of the job that
--             starts, or ''; nominal Unix ms of that job
-- Returns     per change: 1 done; 0 it has another turn, or is not there
--
-- Its first write needs memory: a full Redis takes no new schedules and starts no jobs, which are late then.

local now = now_ms()
local replies, decided = {}, 0

local function start(name, key, id, nominal)
  wake_before(outbox, now)
  redis.call('HSET', decisions, id, name .. ' ' .. nominal .. ' ' .. int(now) .. '\n' .. (redis.call('HGET', key, 'job') or ''))
  -- In the order of their decisions, and at once.
  decided = decided + 1
  redis.call('ZADD', outbox, string.format('%.3f', now - 1 + decided / 1000), id) -- @bug:fired-and-forgotten
end

local function change(name, turn, tick, line, fields, id, nominal)
  local key = schedule_prefix .. name
  local found = redis.pcall('HMGET', key, 'turn')
  local held = found[1]
  if found.err or (held or '') ~= turn then return 0 end -- @bug:fired-twice
  -- A name that is made again must not meet a change that was decided about the one before.
  redis.call('HSET', key, 'turn', int(held and tonumber(held) + 1 or now), unpack(cmsgpack.unpack(fields)))
  redis.call('HSET', name_index, name, line)
  if tick == '' then
    redis.call('ZREM', ticks, name)
  else
    wake_before(ticks, tonumber(tick))
    redis.call('ZADD', ticks, tick, name)
  end
  if id ~= '' then start(name, key, id, nominal) end
  return 1
end

for at = 2, #ARGV, 7 do replies[#replies + 1] = change(unpack(ARGV, at, at + 6)) end
return replies
