-- Tell whether nothing is left to do in a queue, so that no service has to look at it until a job is put into it.
--
-- Caller      dispatchers
-- Idempotent  reads only
-- Needs       numbers queue moves dependents
-- KEYS        1-8 as in _queue.lua, read
-- ARGV[2]     for how many ms nothing must have happened
-- Returns     1 or 0
--
-- Jobs that have ended are no work: they expire by themselves. Dead letters are some: they are counted, and their age is
-- shown. So are the settings of a queue that have to be shown or end by themselves: a pause, a hold, a breaker, a gap of
-- its events that the history has to read again.

local now = now_ms()
local base = string.sub(jobs, 1, -5)

local function has_jobs()
  for index = 1, 3 do
    if redis.call('XLEN', ready[index]) > 0 then return true end
    if (tonumber(redis.call('HGET', base .. 'flow', 'parked' .. index)) or 0) > 0 then return true end
  end
  for _, key in ipairs({due, expiring, blocked_key(), outbox_key()}) do
    if redis.call('ZCARD', key) > 0 then return true end
  end
  return redis.call('XLEN', dlq) > 0
end

local function is_set_apart()
  local paused, held, gap = unpack(redis.call('HMGET', settings, 'paused', 'held_until', 'gap_first'))
  local breaker = redis.call('HGET', base .. 'flow', 'b_state')
  return paused == '1' or (tonumber(held) or 0) > now or gap or breaker
end

-- Whether a group has still to read events, or something has happened of late.
local function has_news()
  local last = redis.call('XREVRANGE', events, '+', '-', 'COUNT', 1)[1]
  if not last then return false end
  local last_ms, last_seq = string.match(last[1], '(%d+)-(%d+)')
  if tonumber(last_ms) > now - tonumber(ARGV[2]) then return true end
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', events)) do
    local fields = {}
    for at = 1, #group, 2 do fields[group[at]] = group[at + 1] end
    local read_ms, read_seq = string.match(fields['last-delivered-id'], '(%d+)-(%d+)')
    local is_behind = tonumber(read_ms) < tonumber(last_ms)
      or read_ms == last_ms and tonumber(read_seq) < tonumber(last_seq)
    if fields['pending'] > 0 or is_behind then return true end -- @bug:unread-events-are-none
  end
  return false
end

return (has_jobs() or is_set_apart() or has_news()) and 0 or 1
