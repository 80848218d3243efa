-- Forget the processes that have been silent for long, and what is none.
--
-- Caller      reapers
-- Idempotent  yes
-- Needs       numbers
-- KEYS[1]     hash    services: name to `<Unix ms of the heartbeat> <ServiceInfo>`, written
-- ARGV[1]     ms without a heartbeat
-- Returns     the names that were forgotten

local services, now = KEYS[1], now_ms()
local gone = {}

local rows = redis.call('HGETALL', services)
for at = 1, #rows, 2 do
  local seen = tonumber(string.match(rows[at + 1], '^(%d+) '))
  if not seen or now - seen > tonumber(ARGV[1]) then gone[#gone + 1] = rows[at] end
end
for _, name in ipairs(gone) do redis.call('HDEL', services, name) end
return gone
