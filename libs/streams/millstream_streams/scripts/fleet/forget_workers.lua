-- Forget the workers that have been silent for long, and what is no worker.
--
-- Caller      reapers
-- Idempotent  yes
-- Needs       numbers fleet
-- KEYS        2-3 as in _fleet.lua, written
-- ARGV[1]     ms without a heartbeat
-- Returns     the names that were forgotten
--
-- Each heartbeat has the time at which Redis took it: the clock of a worker or a reaper may be wrong by minutes.

local now = now_ms()
local gone = {}

forget_silent(now)
local live = read_starts()
local rows = redis.call('HGETALL', workers)
for at = 1, #rows, 2 do
  local seen = tonumber(string.match(rows[at + 1], '^(%d+) '))
  if not seen or now - seen > tonumber(ARGV[1]) then gone[#gone + 1] = rows[at] end
end
for _, name in ipairs(gone) do
  redis.call('HDEL', workers, name)
  if live[name] then redis.call('ZREM', starts, live[name].member) end
end
return gone
