-- Remove consumers that hold nothing and have not been seen for long: workers, and readers of the events.
--
-- Caller      reapers
-- Idempotent  yes
-- Needs       queue
-- KEYS        1-3, 6 as in _queue.lua, written
-- ARGV[2]     ms without a sign of life
-- Returns     number of consumers removed
--
-- XGROUP DELCONSUMER drops what the consumer has pending, for ever. So the check and the removal are one step.
-- A living consumer that is removed by mistake loses nothing: its next read makes it anew.

local idle_ms = tonumber(ARGV[2])
local removed = 0

local function named(reply)
  local fields = {}
  for at = 1, #reply, 2 do fields[reply[at]] = reply[at + 1] end
  return fields
end

local function sweep(stream, group)
  local consumers = redis.pcall('XINFO', 'CONSUMERS', stream, group)
  for _, consumer in ipairs(consumers.err and {} or consumers) do
    local fields = named(consumer)
    if fields['pending'] == 0 and fields['idle'] >= idle_ms then
      redis.call('XGROUP', 'DELCONSUMER', stream, group, fields['name'])
      removed = removed + 1
    end
  end
end

for index = 1, 3 do sweep(ready[index], GROUP) end
local groups = redis.pcall('XINFO', 'GROUPS', events)
for _, group in ipairs(groups.err and {} or groups) do sweep(events, named(group)['name']) end
return removed
