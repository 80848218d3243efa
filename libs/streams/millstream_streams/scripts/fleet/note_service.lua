-- Note that a process of a service is alive, or take it off the list.
--
-- Caller      every service
-- Idempotent  yes
-- Needs       numbers
-- KEYS[1]     hash    services: name to `<Unix ms of the heartbeat> <ServiceInfo>`, written
-- ARGV[1]     process
-- ARGV[2]     what it says of itself (MessagePack); '' when it leaves
-- Returns     nothing

local services = KEYS[1]

if ARGV[2] == '' then
  redis.call('HDEL', services, ARGV[1])
else
  redis.call('HSET', services, ARGV[1], int(now_ms()) .. ' ' .. ARGV[2])
end
