-- Forget the events that every consumer group has acknowledged, once they are old enough for those who follow them live.
--
-- Caller      reapers
-- Idempotent  yes
-- Needs       numbers queue
-- KEYS        6 as in _queue.lua, written
-- ARGV[2]     how many entries to keep of a stream without a group that gets no more
-- ARGV[3]     the most entries to keep whatever the groups have seen
-- ARGV[4]     for how many ms an entry is kept, so that who follows the stream live can resume; the cap goes before
-- Returns     {removed by acknowledgement or age, removed unseen because the cap was met}; both 0 when there is no more
--
-- Each XTRIM frees whole nodes of the stream, and a hundred at most, so that Redis does not stand still.

local keep, cap = tonumber(ARGV[2]), tonumber(ARGV[3])
local young = int(now_ms() - tonumber(ARGV[4])) .. '-0'

-- Stream ids compare as two numbers; both parts are below 2^53 in practice (ms, and a sequence).
local function before(left, right)
  local left_ms, left_seq = string.match(left, '(%d+)-(%d+)')
  local right_ms, right_seq = string.match(right, '(%d+)-(%d+)')
  if left_ms ~= right_ms then return tonumber(left_ms) < tonumber(right_ms) end
  return tonumber(left_seq) < tonumber(right_seq)
end

local function oldest_needed(groups)
  local oldest
  for _, group in ipairs(groups) do
    local fields = {}
    for at = 1, #group, 2 do fields[group[at]] = group[at + 1] end
    local pending = redis.call('XPENDING', events, fields['name'])
    local needed = pending[1] > 0 and pending[2] or fields['last-delivered-id']
    if not oldest or before(needed, oldest) then oldest = needed end
  end
  return oldest
end

if redis.call('EXISTS', events) == 0 then return {0, 0} end
local groups = redis.call('XINFO', 'GROUPS', events)
local removed = 0
if #groups > 0 then
  local needed = oldest_needed(groups)
  removed = redis.call('XTRIM', events, 'MINID', '~', before(young, needed) and young or needed)
elseif #redis.call('XRANGE', events, young, '+', 'COUNT', 1) > 0 then
  removed = redis.call('XTRIM', events, 'MINID', '~', young)
else
  removed = redis.call('XTRIM', events, 'MAXLEN', '~', keep)
end
return {removed, redis.call('XTRIM', events, 'MAXLEN', '~', cap)}
