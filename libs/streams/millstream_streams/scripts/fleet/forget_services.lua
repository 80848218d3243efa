-- Forget the processes that have been silent for long, and what is none.
--
-- Caller      reapers
-- Idempotent  yes
-- Needs       numbers heartbeats
-- KEYS[1]     hash    services: a hash as in _heartbeats.lua, written
-- ARGV[1]     ms without a heartbeat
-- Returns     the names that were forgotten

local services = KEYS[1]
local gone = silent_in(services, ARGV[1], now_ms())

for _, name in ipairs(gone) do redis.call('HDEL', services, name) end
return gone
