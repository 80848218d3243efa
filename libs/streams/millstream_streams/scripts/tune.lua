-- Set the limits of a queue, and have everything look again that waits for them.
--
-- Caller      ingest, for operators, and workers for what their handlers declare
-- Idempotent  yes
-- Needs       numbers queue moves gate
-- KEYS        1-4, 7 as in _queue.lua, written
-- ARGV[2]     the limits (MessagePack), as in _gate.lua; an empty map for none
-- ARGV[3]     the same as they were asked for (MessagePack), or '' for none
-- ARGV[4]     of limits that a handler declares: Unix ms at which its worker started; '' of those of an operator
-- Returns     1 when the queue has limits, or will have none once nothing waits behind them; 0 when it has none
--
-- What handlers declare holds where no operator has set limits. Of several releases that of the worker counts that started
-- last, and the others do not take it back.

local packed, asked, started_at = ARGV[2], ARGV[3], tonumber(ARGV[4])
local was_gated = gate ~= nil

local function answer() return redis.call('HGET', settings, '!flow') and 1 or 0 end

-- The first write: operators lower limits when Redis is full.
if started_at then
  local is_known = (setting('declared') or '') == asked and (asked == '' or setting('declared_flow') == packed)
  local declared_by = tonumber(setting('declared_by') or 0)
  local is_older = started_at < declared_by -- @bug:older-declares
  -- Workers declare again and again.
  local is_repeated = is_known and (asked == '' or started_at == declared_by)
  if is_older or is_repeated then return answer() end
  local declared_at = is_known and setting('declared_at') or int(now_ms())
  redis.call('HDEL', settings, 'declared', 'declared_flow', 'declared_at')
  redis.call('HSET', settings, 'declared_by', int(started_at))
  if asked ~= '' then
    redis.call('HSET', settings, 'declared', asked, 'declared_flow', packed, 'declared_at', declared_at)
  end
  local is_overruled = setting('limits') -- @bug:declared-overrules
  if is_known or is_overruled then return answer() end
else
  redis.call('HDEL', settings, 'limits', 'limits_at')
  if asked ~= '' then
    redis.call('HSET', settings, 'limits', asked, 'limits_at', int(now_ms()))
  else
    packed = setting('declared_flow') or packed -- @bug:declared-is-forgotten
  end
end

local flow = read_limits(packed) or {}
if next(flow) == nil and not was_gated then
  redis.call('HDEL', settings, '!flow')
  return 0
end
redis.call('HSET', settings, '!flow', packed)
read_settings()
if not was_gated then gate.recount() end
gate.look_again()
settle()
return answer()
