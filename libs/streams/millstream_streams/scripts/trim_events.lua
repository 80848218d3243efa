-- Forget the events that every consumer group has acknowledged, once they are old enough for those who follow them live.
--
-- Caller      reapers
-- Idempotent  yes
-- Needs       numbers queue
-- KEYS        6-7 as in _queue.lua, written
-- ARGV[2]     how many entries to keep of a stream without a group that gets no more
-- ARGV[3]     the most entries to keep whatever the groups have seen
-- ARGV[4]     for how many ms an entry is kept, so that who follows the stream live can resume; the cap goes before
-- ARGV[5]     the group that stores the history: what it has not seen and is removed is noted as a gap
-- Returns     {removed by acknowledgement or age, removed unseen because the cap was met}; both 0 when there is no more
--
-- Each XTRIM frees whole nodes of the stream, and a hundred at most, so that Redis does not stand still.
--
-- A gap is two entry ids, `gap_first` and `gap_last` of the settings: what was lost lies between them, both included.
-- close_gap.lua removes it, once the history has read again what it tells.

local keep, cap, historian = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[5]
local young = int(now_ms() - tonumber(ARGV[4])) .. '-0'

-- Stream ids compare as two numbers; both parts are below 2^53 in practice (ms, and a sequence).
local function before(left, right)
  local left_ms, left_seq = string.match(left, '(%d+)-(%d+)')
  local right_ms, right_seq = string.match(right, '(%d+)-(%d+)')
  if left_ms ~= right_ms then return tonumber(left_ms) < tonumber(right_ms) end
  return tonumber(left_seq) < tonumber(right_seq)
end

-- The entry that any group needs, and the one that the history needs, or the last that was delivered to it.
local function oldest_needed(groups)
  local oldest, of_history
  for _, group in ipairs(groups) do
    local fields = {}
    for at = 1, #group, 2 do fields[group[at]] = group[at + 1] end
    local pending = redis.call('XPENDING', events, fields['name'])
    local needed = pending[1] > 0 and pending[2] or fields['last-delivered-id']
    if not oldest or before(needed, oldest) then oldest = needed end
    if fields['name'] == historian then of_history = needed end
  end
  return oldest, of_history
end

local function first_entry()
  local found = redis.call('XRANGE', events, '-', '+', 'COUNT', 1)
  return found[1] and found[1][1]
end

-- Adds what was removed to the gap. What is left begins with `left`.
local function note_gap(removed_from, needed, left)
  if before(left, needed) or left == needed then return end
  local first, last = before(removed_from, needed) and needed or removed_from, left
  local known = redis.call('HMGET', settings, 'gap_first', 'gap_last')
  if known[1] and before(known[1], first) then first = known[1] end
  if known[2] and before(last, known[2]) then last = known[2] end
  redis.call('HSET', settings, 'gap_first', first, 'gap_last', last)
end

if redis.call('EXISTS', events) == 0 then return {0, 0} end
local groups = redis.call('XINFO', 'GROUPS', events)
local oldest, of_history = oldest_needed(groups)
local removed = 0
if #groups > 0 then
  removed = redis.call('XTRIM', events, 'MINID', '~', before(young, oldest) and young or oldest)
elseif #redis.call('XRANGE', events, young, '+', 'COUNT', 1) > 0 then
  removed = redis.call('XTRIM', events, 'MINID', '~', young)
else
  removed = redis.call('XTRIM', events, 'MAXLEN', '~', keep)
end
local first = first_entry()
local lost = redis.call('XTRIM', events, 'MAXLEN', '~', cap)
if lost > 0 and of_history then note_gap(first, of_history, first_entry() or first) end
return {removed, lost}
