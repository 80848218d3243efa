-- Count what a queue holds.
--
-- Caller      dispatchers (gauges), ingest (`GET /v1/queues`)
-- Idempotent  reads only
-- KEYS        1-7 as in _queue.lua, read
-- Returns     {queued high, normal, low; running; scheduled; dead; paused 0 or 1;
--             ms for which the longest-waiting ready job has been ready; age of the oldest dead letter in ms;
--             entries in the event stream}
--
-- XINFO's `lag` is not used: it turns nil or wrong once entries are deleted out of order.

local now = now_ms()
local queued, running, oldest_ready = {0, 0, 0}, 0, now

local function last_delivered(index)
  local groups = redis.pcall('XINFO', 'GROUPS', ready[index])
  for _, group in ipairs(groups.err and {} or groups) do
    local fields = {}
    for at = 1, #group, 2 do fields[group[at]] = group[at + 1] end
    if fields['name'] == GROUP then return fields['last-delivered-id'], fields['pending'] end
  end
  return '0-0', 0
end

for index = 1, 3 do
  local last, pending = last_delivered(index)
  running = running + pending
  queued[index] = math.max(0, redis.call('XLEN', ready[index]) - pending)
  local head = redis.call('XRANGE', ready[index], '(' .. last, '+', 'COUNT', 1)
  if head[1] then
    oldest_ready = math.min(oldest_ready, tonumber(redis.call('HGET', jobs .. head[1][2][2], 'ready_at') or now))
  end
end

local function oldest_dead_age()
  local head = redis.call('XRANGE', dlq, '-', '+', 'COUNT', 1)
  if not head[1] then return 0 end
  local fields = head[1][2]
  for at = 1, #fields, 2 do
    if fields[at] == 'at' then return now - tonumber(fields[at + 1]) end
  end
  return 0
end

return {queued[1], queued[2], queued[3], running, redis.call('ZCARD', due), redis.call('XLEN', dlq),
  redis.call('HGET', settings, 'paused') == '1' and 1 or 0, now - oldest_ready, oldest_dead_age(),
  redis.call('XLEN', events)}
