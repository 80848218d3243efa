-- Forget the workers that have been silent for long, and what is no worker.
--
-- Caller      reapers
-- Idempotent  yes
-- Needs       numbers heartbeats fleet
-- KEYS        2-3 as in _fleet.lua, written
-- ARGV[1]     ms without a heartbeat
-- Returns     the names that were forgotten

local now = now_ms()

forget_silent(now)
local live, gone = read_starts(), silent_in(workers, ARGV[1], now)
for _, name in ipairs(gone) do
  redis.call('HDEL', workers, name)
  if live[name] then redis.call('ZREM', starts, live[name].member) end
end
return gone
