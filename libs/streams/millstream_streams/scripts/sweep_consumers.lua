-- Remove consumers that hold nothing and have not been seen for long.
--
-- Caller      reapers
-- Idempotent  yes
-- KEYS        1-3 as in _queue.lua, written
-- ARGV[2]     ms without a sign of life
-- Returns     number of consumers removed
--
-- XGROUP DELCONSUMER drops what the consumer has pending, for ever. So the check and the removal are one step.
-- A living worker that is removed by mistake loses nothing: its next read makes it anew.

local idle_ms = tonumber(ARGV[2])
local removed = 0
for index = 1, 3 do
  local consumers = redis.pcall('XINFO', 'CONSUMERS', ready[index], GROUP)
  for _, consumer in ipairs(consumers.err and {} or consumers) do
    local fields = {}
    for at = 1, #consumer, 2 do fields[consumer[at]] = consumer[at + 1] end
    if fields['pending'] == 0 and fields['idle'] >= idle_ms then
      redis.call('XGROUP', 'DELCONSUMER', ready[index], GROUP, fields['name'])
      removed = removed + 1
    end
  end
end
return removed
