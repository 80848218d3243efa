-- Part `shards`: what shards of schedules and of workflows have in common.
--
-- ARGV[1]     string  begins with `<namespace>:{<tag>}:`

-- As in _moves.lua.
local function hint_of_shard(topic, message)
  redis.pcall('PUBLISH', string.match(ARGV[1], '^(.-):{') .. ':hints:' .. topic, message)
end

-- Wake the dispatchers, when nothing in `line` would be done before this time.
local function wake_before(line, at)
  local head = redis.call('ZRANGE', line, 0, 0, 'WITHSCORES')
  if head[1] == nil or at < tonumber(head[2]) then hint_of_shard('due', string.match(ARGV[1], '{(.-)}')) end
end
